// Serves Azure Blob Storage (Azurite) on a free port of loopback, with one container `suite` in the development account.
//
// Prints one line of JSON with the URL and a shared access signature once it serves, and ends when its standard input does:
// it cannot outlive a test. Arguments: the folder with node_modules, the folder for its data.
const crypto = require("crypto");
const http = require("http");
const path = require("path");

const [modules, data] = process.argv.slice(2);
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
    const request = http.request(`${url}/suite?restype=container&${sas}`, { method: "PUT", headers: { "x-ms-version": version, "content-length": 0 } },
      (answer) => (answer.statusCode === 201 ? resolve() : reject(new Error(`container: ${answer.statusCode}`))));
    request.on("error", reject);
    request.end();
  });
}

// Azurite tells its port only in its log.
const log = console.log;
console.log = (line) => {
  const found = /successfully listens on (http:\/\/127\.0\.0\.1:\d+)/.exec(line);
  if (!found) return;
  const url = `${found[1]}/${account}`;
  const sas = signature();
  makeContainer(url, sas).then(
    () => log(JSON.stringify({ url, sas, connection: `AccountName=${account};AccountKey=${key};BlobEndpoint=${url};` })),
    (error) => { console.error(error); process.exit(1); });
};
// The client library speaks a newer version of the protocol than Azurite knows.
process.argv = [process.argv[0], "azurite-blob", "--blobHost", "127.0.0.1", "--blobPort", "0", "--location", data, "--skipApiVersionCheck", "--disableTelemetry"];
require(path.join(modules, "node_modules/azurite/dist/src/blob/main.js"));
