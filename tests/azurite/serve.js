// Serves Azure Blob and Queue Storage (Azurite) on free ports of loopback, with one container `suite` in the development
// account.
//
// Prints one line of JSON with the URLs, a shared access signature for blobs and a connection string once it serves, and ends
// when its standard input does: it cannot outlive a test. Arguments: the folder with node_modules, the folder for its data,
// further arguments for Azurite.
const crypto = require("crypto");
const http = require("http");
const https = require("https");
const path = require("path");

const [modules, data, ...more] = process.argv.slice(2);
const account = "devstoreaccount1";
const key = "Eby8vdM02xNOcqFlqUwJPLlmEtlCDXJ1OUzFT50uSRZ6IFsuFq2UVErCz4I6tq/K1SZFPTOtr/KBHBeksoGMGw==";
const version = "2019-12-12";

process.stdin.resume().on("end", () => process.exit(0));

const sign = (text) => crypto.createHmac("sha256", Buffer.from(key, "base64")).update(text, "utf8").digest("base64");

function signature() {
  const fields = { sp: "rwdlac", ss: "b", srt: "sco", st: "", se: "2099-01-01T00:00:00Z", sip: "", spr: "https,http", sv: version };
  const sig = sign([account, ...Object.values(fields)].join("\n") + "\n");
  return new URLSearchParams({ ...Object.fromEntries(Object.entries(fields).filter(([, v]) => v)), sig }).toString();
}

function makeContainer(url, sas) {
  return new Promise((resolve, reject) => {
    const client = url.startsWith("https:") ? https : http;
    // Its certificate is a test's own.
    const options = { method: "PUT", rejectUnauthorized: false, headers: { "x-ms-version": version, "content-length": 0 } };
    const request = client.request(`${url}/suite?restype=container&${sas}`, options,
      (answer) => (answer.statusCode === 201 ? resolve() : reject(new Error(`container: ${answer.statusCode}`))));
    request.on("error", reject);
    request.end();
  });
}

// Azurite tells its ports only in its log.
const log = console.log;
const urls = {};
console.log = (line) => {
  const found = /Azurite (\w+) service is successfully listening at (https?:\/\/127\.0\.0\.1:\d+)/.exec(line);
  if (!found) return;
  urls[found[1]] = `${found[2]}/${account}`;
  if (!urls.Blob || !urls.Queue || urls.made) return;
  urls.made = true;
  const sas = signature();
  const connection = `AccountName=${account};AccountKey=${key};BlobEndpoint=${urls.Blob};QueueEndpoint=${urls.Queue};`;
  makeContainer(urls.Blob, sas).then(
    () => log(JSON.stringify({ url: urls.Blob, queue: urls.Queue, sas, connection })),
    (error) => { console.error(error); process.exit(1); });
};
const place = ["blob", "queue", "table"].flatMap((service) => [`--${service}Host`, "127.0.0.1", `--${service}Port`, "0"]);
process.argv = [process.argv[0], "azurite", ...place, "--location", data, "--disableTelemetry", ...more];
require(path.join(modules, "node_modules/azurite/dist/src/azurite.js"));
