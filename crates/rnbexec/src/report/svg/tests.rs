use super::*;

fn svg(content: &str) -> String {
    format!(
        "<svg xmlns='http://www.w3.org/2000/svg' xmlns:xlink='http://www.w3.org/1999/xlink' viewBox='0 0 9 9'>{content}</svg>"
    )
}

/// Ten to the power of `levels`, by this reference from one level to the next.
fn laughs(levels: usize, reference: impl Fn(usize) -> String) -> String {
    let mut content = "<defs><g id='l0'><rect width='1' height='1'/></g>".to_owned();
    for level in 1..=levels {
        content.push_str(&reference(level).replace("BELOW", &format!("l{}", level - 1)));
    }
    svg(&format!("{content}</defs><use href='#l{levels}'/>"))
}

fn ten(level: usize, element: &str) -> String {
    format!("<g id='l{level}'>{}</g>", element.repeat(10))
}

#[test]
fn drawings_of_libraries_are_shown() {
    let scatter = format!(
        "<defs><path id='m' d='M0 0L1 1'/></defs><g clip-path='url(#c)'>{}</g><clipPath id='c'><rect/></clipPath>",
        "<use xlink:href='#m' x='1' y='2' style='fill: #1f77b4; stroke: #1f77b4'/>".repeat(5_000)
    );
    let gradient = "<style>.a{fill:url(#g)} .b{filter:url(#f)}</style><linearGradient id='g' xlink:href='#h'/>\
         <linearGradient id='h'><stop offset='0'/></linearGradient><filter id='f'><feOffset/><feBlend/></filter>\
         <rect class='a'/><rect class='b'/>";
    let arrows = format!(
        "<marker id='arrow'><path d='M0 0L9 9'/></marker>{}",
        "<path d='M0 0C1 1 2 2 3 3' marker-end='url(#arrow)'/>".repeat(500)
    );
    let link = "<g id='top'><a href='#top'><text>up</text></a><animate attributeName='fill' values='#fff;#000'/></g>";
    for content in [&scatter, gradient, &arrows, link, ""] {
        assert_eq!(look(&svg(content)), Verdict::Fine, "{}", &content[..content.len().min(200)]);
    }
    let matplotlib = "<?xml version=\"1.0\" encoding=\"utf-8\" standalone=\"no\"?>\n<!DOCTYPE svg PUBLIC \
         \"-//W3C//DTD SVG 1.1//EN\"\n  \"http://www.w3.org/Graphics/SVG/1.1/DTD/svg11.dtd\">\n<!-- 100 % & -->\n";
    assert_eq!(look(&format!("{matplotlib}{}", svg(&scatter))), Verdict::Fine);
    let illustrator = "<!DOCTYPE svg [<!ENTITY ns 'http://ns.adobe.com/x'>]>";
    assert_eq!(look(&format!("{illustrator}{}", svg("<g xmlns:i='&ns;'/>"))), Verdict::Fine);
}

#[test]
fn whatever_multiplies_by_references_is_too_costly() {
    for (what, reference) in [
        ("use", "<use href='#BELOW'/>"),
        ("use of old", "<use xlink:href=' #BELOW '/>"),
        ("use, encoded", "<use href='#%6C%30'/><use href='#BELOW'/>"),
        ("fill", "<rect fill='url(#BELOW)'/>"),
        ("mask, in a style", "<rect style='opacity:1;mask:URL( \"#BELOW\" )'/>"),
        ("escaped", "<rect style='fill:u\\72 l(#BELOW)'/>"),
        ("filter", "<rect filter='url(#BELOW)'/>"),
        ("an image of a filter", "<feImage href='#BELOW'/>"),
        ("a custom property", "<g style='--x:url(#BELOW)'><rect style='fill:var(--x)'/></g>"),
        ("another prefix", "<s:use xmlns:s='http://www.w3.org/2000/svg' href='#BELOW'/>"),
    ] {
        let bomb = laughs(8, |level| ten(level, reference));
        assert_eq!(look(&bomb), Verdict::TooCostly, "{what}");
        assert_eq!(look(&laughs(2, |level| ten(level, reference))), Verdict::Fine, "{what}");
    }
}

#[test]
fn what_is_inherited_counts_for_every_heir() {
    let many = "<rect/>".repeat(1_000);
    let pattern = format!("<pattern id='p'><g>{many}</g></pattern>");
    assert_eq!(look(&svg(&format!("{pattern}<rect fill='url(#p)'/>"))), Verdict::Fine);
    assert_eq!(look(&svg(&format!("{pattern}<g fill='url(#p)'>{many}</g>"))), Verdict::TooCostly);
    let used = format!("{pattern}<g id='u'>{many}</g><use fill='url(#p)' href='#u'/>");
    assert_eq!(look(&svg(&used)), Verdict::TooCostly);
    let around = format!("{pattern}<g stroke='url(#p)'><mask id='m'>{many}</mask></g><rect mask='url(#m)'/>");
    assert_eq!(look(&svg(&around)), Verdict::TooCostly);
}

#[test]
fn style_sheets_and_markers_may_mean_every_element_and_every_point() {
    let chain: Vec<String> =
        (1..9).map(|n| format!("<pattern id='p{n}'>{}</pattern>", "<rect class='a'/>".repeat(10))).collect();
    let rules: Vec<String> = (1..9).map(|n| format!("#p{} rect{{fill:url(#p{n})}}", n - 1)).collect();
    assert_eq!(
        look(&svg(&format!("<style>{}</style>{}<rect/>", rules.concat(), chain.concat()))),
        Verdict::TooCostly
    );
    let marker = format!("<marker id='m'>{}</marker>", "<rect/>".repeat(200));
    let line = "M0 0".to_owned() + &"L1 1".repeat(20_000);
    assert_eq!(look(&svg(&format!("{marker}<path d='{line}' marker-mid='url(#m)'/>"))), Verdict::TooCostly);
    assert_eq!(look(&svg(&format!("{marker}<path d='{line}' marker-end='url(#m)'/>"))), Verdict::Fine);
}

#[test]
fn what_refers_to_itself_changes_its_references_or_hides_them_is_too_costly() {
    for content in [
        "<g id='a'><use href='#a'/></g>",
        "<pattern id='a'><rect fill='url(#b)'/></pattern><pattern id='b'><rect fill='url(#a)'/></pattern>",
        "<use id='a' href='#b'/><use id='b' href='#a'/>",
        "<use href='#x'><set attributeName='href' to='#y'/></use>",
        "<rect><animate attributeName='fill' values='url(#a);url(#b)'/></rect>",
        "<style>@import url(data:text/css,x)</style>",
        "<style>rect{fill:url(data:image/svg+xml,x)}</style>",
        "<image href=' x data:image/svg+xml,x'/>",
    ] {
        assert_eq!(look(&svg(content)), Verdict::TooCostly, "{content}");
    }
    for before in [
        "<!DOCTYPE svg [<!ATTLIST use href CDATA '#a'>]>",
        "<!DOCTYPE svg [<!ENTITY % a '<!ENTITY b \"c\">'>%a;]>",
        "<?xml version='1.0' encoding='UTF-7'?>",
        "<?xml-stylesheet href='data:text/css,x'?>",
    ] {
        assert_ne!(look(&format!("{before}{}", svg(""))), Verdict::Fine, "{before}");
    }
    let deep = svg(&("<g>".repeat(5_000) + &"</g>".repeat(5_000)));
    assert_ne!(look(&deep), Verdict::Fine);
    let entities: Vec<String> =
        (1..20).map(|n| format!("<!ENTITY e{n} '{}'>", format!("&e{};", n - 1).repeat(10))).collect();
    assert_ne!(
        look(&format!("<!DOCTYPE svg [<!ENTITY e0 'x'>{}]>{}", entities.concat(), svg("<text>&e19;</text>"))),
        Verdict::Fine
    );
}

#[test]
fn drawings_in_drawings_count_where_they_are_drawn() {
    use base64::Engine as _;
    let encoded = |svg: &str| {
        format!("data:image/svg+xml;base64,{}", base64::engine::general_purpose::STANDARD.encode(svg))
    };
    let image = |uri: &str| svg(&format!("<image href='{uri}'/>"));
    let bomb = laughs(8, |level| ten(level, "<use href='#BELOW'/>"));
    assert_eq!(look(&image(&encoded(&svg("<rect/>")))), Verdict::Fine);
    assert_eq!(look(&image(&encoded(&bomb))), Verdict::TooCostly);
    assert_eq!(look(&image(&encoded(&image(&encoded(&image(&encoded(&svg("")))))))), Verdict::TooCostly);
    assert_eq!(look_at_uri(&encoded(&bomb)), Verdict::TooCostly);
    assert_eq!(look_at_uri(&encoded(&svg(""))), Verdict::Fine);
    let plain = format!("data:image/svg+xml,{}", svg("<rect fill='%23fff'/>"));
    assert_eq!(look_at_uri(&plain), Verdict::Fine);
    assert_eq!(look_at_uri(&bomb.replace('<', "%3C")), Verdict::Broken);
    assert_eq!(look("<svg><g></svg>"), Verdict::Broken);
}

#[test]
fn a_large_drawing_is_looked_at_in_no_time() {
    let begun = std::time::Instant::now();
    let large = svg(&"<g><path d='M0 0'/></g>".repeat(100_000));
    assert_eq!(look(&large), Verdict::Fine);
    assert!(begun.elapsed() < std::time::Duration::from_secs(20), "{:?}", begun.elapsed());
}
