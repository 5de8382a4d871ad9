use super::*;

fn rows_as(text: impl AsRef<[u8]>, format: Format) -> Vec<String> {
    let rows = Rows::read(Cursor::new(text.as_ref().to_vec()), format).unwrap();
    rows.map(|row| {
        let origin = row.origin.map(|origin| origin.to_string()).unwrap_or_default();
        match row.parameters {
            Ok(parameters) => format!("{origin}: {}", Json::Object(parameters.into_object()).to_compact()),
            Err(error) => format!("{origin}: {error}"),
        }
    })
    .collect()
}

fn rows(text: impl AsRef<[u8]>) -> Vec<String> {
    rows_as(text, Format::AsItBegins)
}

fn refused(text: &[u8]) -> String {
    Rows::read(Cursor::new(text.to_vec()), Format::AsItBegins).unwrap_err().to_string()
}

#[test]
fn csv_values_are_typed_as_p_types_them_and_empty_ones_are_not_given() {
    let text = "name,count,ratio,flag\nAda,3,0.5,True\nBob,,1e3,\n\"\",\"4\",x,None\n";
    assert_eq!(
        rows(text),
        [
            r#"line 2: {"name":"Ada","count":3,"ratio":0.5,"flag":true}"#,
            r#"line 3: {"name":"Bob","ratio":1000.0}"#,
            r#"line 4: {"count":4,"ratio":"x","flag":null}"#,
        ]
    );
}

#[test]
fn csv_fields_may_be_quoted_and_hold_commas_quotes_and_lines() {
    let text = "a,b\r\n\"x, y\",\"say \"\"hi\"\"\"\r\n\"two\nlines\",2\r\nlast,3";
    assert_eq!(
        rows(text),
        [
            r#"line 2: {"a":"x, y","b":"say \"hi\""}"#,
            r#"line 3: {"a":"two\nlines","b":2}"#,
            r#"line 5: {"a":"last","b":3}"#,
        ]
    );
}

#[test]
fn a_byte_order_mark_is_passed_over_in_every_format() {
    assert_eq!(rows("\u{feff}a,b\n1,2\n"), [r#"line 2: {"a":1,"b":2}"#]);
    assert_eq!(rows("\u{feff}\"a\",b\n1,2\n"), [r#"line 2: {"a":1,"b":2}"#]);
    assert_eq!(rows("\u{feff}{\"a\":1}\n"), [r#"line 1: {"a":1}"#]);
    assert_eq!(rows("\u{feff}[{\"a\":1}]"), [r#"element 1: {"a":1}"#]);
}

#[test]
fn a_record_of_another_width_is_an_error_with_its_line_and_the_next_one_is_read() {
    assert_eq!(rows("\n\r\na\r\n\r\n1\r\n\r\n2"), [r#"line 5: {"a":1}"#, r#"line 7: {"a":2}"#]);
    assert_eq!(
        rows("a,b\n1\n1,2,3\n\n5,6\n"),
        ["line 2: 1 values for 2 names", "line 3: 3 values for 2 names", r#"line 5: {"a":5,"b":6}"#]
    );
}

#[test]
fn a_record_that_is_not_utf_8_is_an_error_with_its_line() {
    assert_eq!(
        rows(b"a\nx\n\xff\ny\n"),
        [r#"line 2: {"a":"x"}"#, "line 3: the text is not UTF-8", r#"line 4: {"a":"y"}"#]
    );
}

#[test]
fn names_that_cannot_be_used_are_refused() {
    assert_eq!(refused(b"a,,c\n1,2,3\n"), "the names in line 1 cannot be used: column 2 has none");
    assert_eq!(refused(b"a, b ,b\n1,2,3\n"), "the names in line 1 cannot be used: 'b' is there twice");
    assert_eq!(refused(b"a\xff\n1\n"), "the names in line 1 cannot be used: they are not UTF-8");
}

#[test]
fn json_lines_are_objects_and_errors_name_the_line() {
    let text = "\n{\"a\": 1, \"b\": [true, null]}\r\n\n{\"a\": }\n[1]\n{\"a\": 2}";
    assert_eq!(
        rows(text),
        [
            r#"line 2: {"a":1,"b":[true,null]}"#,
            "line 4: expected a value, found '}' at column 7",
            "line 5: a row is an object of names and values, not an array",
            r#"line 6: {"a":2}"#,
        ]
    );
}

#[test]
fn a_json_array_of_objects_is_rows() {
    assert_eq!(
        rows(" [\n {\"a\": 1},\n {\"a\": 2}, 3\n]\n"),
        [
            r#"element 1: {"a":1}"#,
            r#"element 2: {"a":2}"#,
            "element 3: a row is an object of names and values, not a number",
        ]
    );
    assert_eq!(rows("[]"), [] as [&str; 0]);
    assert_eq!(refused(b"[{]"), "the array of rows is not JSON");
}

#[test]
fn a_text_without_rows_has_none() {
    for text in ["", "\n\n", "a,b\n", "a,b", "\u{feff}"] {
        assert_eq!(rows(text), [] as [&str; 0], "{text:?}");
    }
}

#[test]
fn the_name_says_csv_whatever_the_text_begins_with() {
    assert_eq!(rows_as("{x},b\n1,2\n", Format::Csv), [r#"line 2: {"{x}":1,"b":2}"#]);
    for (place, format) in [
        ("a/rows.CSV", Format::Csv),
        ("https://h/rows.csv?sig=x", Format::Csv),
        ("rows.jsonl", Format::Json),
        ("a/rows.NDJSON", Format::Json),
        ("rows", Format::AsItBegins),
        ("-", Format::AsItBegins),
    ] {
        assert_eq!(Format::of(&Location::parse(place).unwrap()), format, "{place}");
    }
}

/// Gives what it has, then fails.
struct Breaks(Cursor<&'static [u8]>);

impl Read for Breaks {
    fn read(&mut self, buffer: &mut [u8]) -> io::Result<usize> {
        match self.0.read(buffer)? {
            0 => Err(io::Error::other("the line is cut")),
            read => Ok(read),
        }
    }
}

#[test]
fn a_text_that_breaks_off_is_an_error_after_the_rows_that_came() {
    for text in ["a\n1\n", "{\"a\":1}\n"] {
        let rows = Rows::read(Breaks(Cursor::new(text.as_bytes())), Format::AsItBegins).unwrap();
        let read: Vec<Row> = rows.collect();
        assert_eq!(read.len(), 2, "{text}");
        assert!(read[0].parameters.is_ok());
        assert!(matches!(read[1].parameters, Err(RowError::Io(_))));
    }
}

#[test]
fn a_quotation_mark_that_nothing_closes_swallows_no_rows() {
    for text in
        ["name\n\"Ada\nGrace\nBob\n", "name,n\nAda,\"1\nGrace,2\n", "name\nAda\n\"Gr\"\"ace", "name\nAda\n\""]
    {
        let rows = rows(text);
        assert!(
            rows.last().unwrap().ends_with("a quotation mark opens a value that nothing closes"),
            "{text}: {rows:?}"
        );
    }
    for (text, last) in [
        ("name\n\"Ada\nGrace\"", r#"line 2: {"name":"Ada\nGrace"}"#),
        ("name\na\"b\n", r#"line 2: {"name":"a\"b"}"#),
        ("name\n\"a\"\"\"\n", r#"line 2: {"name":"a\""}"#),
        ("name\n\"a\"b\"\nc\n", r#"line 3: {"name":"c"}"#),
    ] {
        assert_eq!(rows(text).last().unwrap(), last, "{text}");
    }
    assert!(refused(b"\"name\nAda\n").contains("nothing closes"));
}

#[test]
fn what_is_called_json_is_never_read_as_csv() {
    let rows = rows_as("null\n{\"name\":1}\n", Format::Json);
    assert_eq!(rows, ["line 1: a row is an object of names and values, not null", r#"line 2: {"name":1}"#]);
}
