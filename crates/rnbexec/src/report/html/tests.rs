use super::*;

fn clean_piece(html: &str) -> String {
    sanitized(html, "o1", &facts(html).styles)
}

#[test]
fn a_pandas_table_keeps_its_look() {
    let html = "<div><style scoped>.dataframe tbody tr th { vertical-align: top; }</style>\
                <table border=\"1\" class=\"dataframe\"><thead><tr style=\"text-align: right;\"><th></th></tr></thead>\
                <tbody><tr><th>0</th></tr></tbody></table></div>";
    let clean = clean_piece(html);
    assert!(clean.starts_with("<style>#o1 .u-dataframe tbody tr th{vertical-align:top;}</style>"), "{clean}");
    assert!(
        clean.contains("class=\"u-dataframe\"") && clean.contains("style=\"text-align:right;\""),
        "{clean}"
    );
}

#[test]
fn what_runs_fetches_or_submits_goes() {
    for (html, gone) in [
        ("<script>x()</script>a", "script"),
        ("<img src=x onerror=x()>", "onerror"),
        ("<a href='javascript:x()'>a</a>", "javascript"),
        ("<a href='&#106;avascript&colon;x()'>a</a>", "script:"),
        ("<a href=' \u{1}java\nscript:x()'>a</a>", "script:"),
        ("<a href='data:text/html,x'>a</a>", "data:"),
        ("<a href='vbscript:x' target=_top ping=//x download>a</a>", "vbscript"),
        ("<a href='//evil/x'>a</a>", "evil"),
        ("<a href='other.html'>a</a>", "other"),
        ("<img src='http://x/y.png'>", "http"),
        ("<img src='data:text/html,x'>", "data:"),
        ("<img srcset='http://x 2x' src='//x'>", "//x"),
        ("<table background=http://x><td background=http://x>", "http"),
        ("<form action=http://x><input name=a><button formaction=http://x>b</button></form>", "http"),
        ("<meta http-equiv=refresh content='0;url=http://x'>", "meta"),
        ("<base href=http://x><link rel=stylesheet href=http://x>", "http"),
        ("<iframe src=http://x></iframe><object data=http://x></object><embed src=http://x>", "http"),
        (
            "<svg onload=x()><script>x()</script><a xlink:href='javascript:x()'><text>t</text></a></svg>",
            "x()",
        ),
        (
            "<svg><use href='data:image/svg+xml,x'/><image href=http://x /><animate attributeName=href values=javascript:x /></svg>",
            "href",
        ),
        ("<svg><style>*{background:url(http://x)}</style></svg>", "http"),
        ("<svg><foreignObject><iframe src=//x></iframe></foreignObject></svg>", "iframe"),
        ("<svg><rect fill='url(http://x#y)'/></svg>", "http"),
        ("<div style='background:url(http://x)'>a</div>", "http"),
        ("<div style='position:fixed;top:0'>a</div>", "fixed"),
        ("<style>@import 'http://x';</style>", "http"),
        ("<math><mtext><script>x()</script></mtext></math>", "math"),
        ("<template><img src=x onerror=x()></template>", "img"),
        ("<!-- <script> -->", "!--"),
        ("<video src=http://x poster=http://x></video>", "http"),
    ] {
        let clean = clean_piece(html);
        assert!(!clean.contains(gone), "{html} became {clean}");
    }
}

#[test]
fn html_that_changes_when_it_is_read_again_stays_harmless() {
    for html in [
        "<noscript><p title=\"</noscript><img src=x onerror=x()>\">",
        "<math><mtext><table><mglyph><style><!--</style><img title=\"--&gt;&lt;img src=1 onerror=x()&gt;\">",
        "<svg></p><style><a id=\"</style><img src=1 onerror=x()>\">",
        "<form><math><mtext></form><form><mglyph><style></math><img src onerror=x()>",
        "<select><template><style><!--</select><img src=x onerror=x()>-->",
        "<xmp><p title=\"</xmp><img src=x onerror=x()>\">",
        "<listing>&lt;img onerror=x()&gt;</listing>",
        "<svg><text><![CDATA[</text><img src=x onerror=x()>]]>",
        "<svg><title><style><img title=\"</style><img src=x onerror=x()>\">",
        "<textarea></textarea><img src=x onerror=x()></textarea>",
        "<plaintext><img src=x onerror=x()>",
    ] {
        let once = clean_piece(html);
        assert!(!once.contains("<img src=\"x\"") && !facts_of_events(&once), "{html} became {once}");
        let again = clean_piece(&once);
        assert!(!facts_of_events(&again), "{once} became {again}");
    }
}

/// Whether any element of the HTML, as a parser reads it, has a handler.
fn facts_of_events(html: &str) -> bool {
    let all: HashSet<&str> = TAGS.iter().copied().chain(WITH_CONTENT.iter().copied()).collect();
    let found = std::sync::Arc::new(std::sync::atomic::AtomicBool::new(false));
    let seen = found.clone();
    let mut builder = Builder::empty();
    builder
        .tags(all)
        .clean_content_tags(HashSet::new())
        .generic_attribute_prefixes(["on"].into())
        .attribute_filter(move |_, name, _| {
            if name.starts_with("on") {
                seen.store(true, std::sync::atomic::Ordering::Relaxed);
            }
            None
        })
        .clean(html);
    found.load(std::sync::atomic::Ordering::Relaxed)
}

#[test]
fn links_to_the_web_stay_and_cannot_reach_back() {
    assert_eq!(
        clean_piece("<a href='https://example.com/?a=1&amp;b=2' target=_blank>x</a>"),
        "<a href=\"https://example.com/?a=1&amp;b=2\" rel=\"noopener noreferrer nofollow\">x</a>"
    );
}

#[test]
fn ids_and_links_to_them_stay_within_the_piece() {
    let clean = clean_piece("<p id=cell-3 name=x>a</p><a href='#cell-3'>b</a>");
    assert!(clean.contains("<p id=\"o1-cell-3\">") && clean.contains("href=\"#o1-cell-3\""), "{clean}");
}

#[test]
fn images_that_come_with_the_piece_and_drawings_stay() {
    let image = "<img src=\"data:image/png;base64,AAAA\" alt=\"x\">";
    assert_eq!(clean_piece(image), image);
    let drawing =
        "<svg width=\"9\" viewBox=\"0 0 9 9\"><rect x=\"1\" fill=\"red\"></rect><text>a&lt;b</text></svg>";
    assert_eq!(clean_piece(drawing), drawing);
}

#[test]
fn text_that_reads_otherwise_than_it_is_written_is_shown() {
    assert_eq!(clean_piece("<b title='&#x202e;'>a&#x202e;b</b>"), "<b title=\"⟦U+202E⟧\">a⟦U+202E⟧b</b>");
}

#[test]
fn what_was_made_for_a_white_page_is_known() {
    let wants = |html: &str| wants_paper(&clean_piece(html));
    for made_for_white in [
        "<table><td style='background:#fee2e2'>1</td></table>",
        "<p style='color:navy'>x</p>",
        "<style>.a{color:black}</style><p class=a>x</p>",
        "<font color=red>x</font>",
        "<svg></svg>",
    ] {
        assert!(wants(made_for_white), "{made_for_white}");
    }
    for plain in [
        "<table><td>1</td></table>",
        "<b style='background-color:#b3261e;color:#fff'>High</b>",
        "<p style='background-color:transparent;border-color:red'>x</p>",
        "color: red",
    ] {
        assert!(!wants(plain), "{plain}");
    }
}
