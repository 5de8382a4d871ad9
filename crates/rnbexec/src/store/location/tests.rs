use super::*;

fn parse(text: &str) -> Location {
    Location::parse(text).expect("a location")
}

#[test]
fn plain_paths_and_windows_drives_are_local() {
    for text in
        ["nb.ipynb", "/a/b.ipynb", "../x", r"C:\nb.ipynb", "C:/nb.ipynb", "a:b.ipynb", "x//y.ipynb", "--"]
    {
        assert_eq!(parse(text), Location::Local(PathBuf::from(text)), "{text}");
        assert_eq!(parse(text).metadata_text(), text);
    }
}

#[test]
fn a_file_url_is_the_path_it_names() {
    assert_eq!(parse("file:///tmp/a%20b.ipynb"), Location::Local(PathBuf::from("/tmp/a b.ipynb")));
    assert!(Location::parse("file://elsewhere/tmp/a.ipynb").is_err());
}

#[test]
fn a_dash_is_standard_input_or_output() {
    assert_eq!(parse("-"), Location::Stdio);
    assert_eq!(parse("-").to_string(), "-");
}

#[test]
fn an_unknown_scheme_is_an_error_that_lists_the_known_ones() {
    for text in ["ftp://host/x.ipynb", "foo://bar", "s3+x://b/k"] {
        let error = Location::parse(text).unwrap_err().to_string();
        assert!(error.contains(text) && error.contains("abfss") && error.contains("hdfs"), "{error}");
    }
}

#[test]
fn the_retired_data_lake_names_its_successor() {
    let error = Location::parse("adl://acct.azuredatalakestore.net/x").unwrap_err().to_string();
    assert!(error.contains("retired by Microsoft in 2024") && error.contains("abfss://"), "{error}");
}

#[test]
fn buckets_and_keys_are_taken_as_they_stand() {
    let Location::S3(at) = parse("S3a://my-bucket/dir/a%20b?.ipynb") else { panic!("not s3") };
    assert_eq!((at.bucket.as_str(), at.key.as_str()), ("my-bucket", "dir/a%20b?.ipynb"));
    assert_eq!(parse("gcs://b/k").to_string(), "gcs://b/k");
    assert!(Location::parse("s3:///k").is_err());
}

#[test]
fn every_spelling_of_an_azure_blob_means_the_same_blob() {
    for (text, host) in [
        ("abs://acct.blob.core.windows.net/cont/d/n.ipynb", Some("acct.blob.core.windows.net")),
        ("abfss://cont@acct.dfs.core.windows.net/d/n.ipynb", Some("acct.blob.core.windows.net")),
        ("abfs://cont@acct/d/n.ipynb", Some("acct.blob.core.windows.net")),
        ("wasbs://cont@acct.blob.core.windows.net/d/n.ipynb", Some("acct.blob.core.windows.net")),
        ("abfss://cont@a.dfs.core.chinacloudapi.cn/d/n.ipynb", Some("a.blob.core.chinacloudapi.cn")),
        ("az://cont/d/n.ipynb", None),
        ("abfs://cont/d/n.ipynb", None),
    ] {
        let Location::AzureBlob(at) = parse(text) else { panic!("not a blob: {text}") };
        assert_eq!(
            (at.host.as_deref(), at.container.as_str(), at.blob.as_str()),
            (host, "cont", "d/n.ipynb")
        );
        assert_eq!(parse(text).to_string(), text);
    }
}

#[test]
fn a_blob_without_container_or_account_is_refused() {
    for text in ["abs://acct.blob.core.windows.net", "abs:///c/b", "abfss://@acct/b", "abfss://c@/b"] {
        assert!(matches!(Location::parse(text), Err(LocationError::Malformed { .. })), "{text}");
    }
}

#[test]
fn the_page_of_a_file_on_github_is_the_file() {
    let Location::GitHub(at) = parse("https://github.com/o/r/blob/main/dir/a%20b.ipynb") else {
        panic!("not github")
    };
    assert_eq!(
        (at.owner.as_str(), at.repo.as_str(), at.reference.as_str(), at.path.as_str()),
        ("o", "r", "main", "dir/a%20b.ipynb")
    );
    assert!(matches!(parse("https://github.com/o/r/raw/main/x.ipynb"), Location::Http(_)));
}

#[test]
fn secrets_show_in_neither_display_nor_debug_nor_metadata() {
    for text in [
        "https://user:hunter22@host/nb.ipynb?token=hunter22",
        "abs://a.blob.core.windows.net/c/b.ipynb?sv=2024&sig=hunter22",
        "abfss://c@a.dfs.core.windows.net/b.ipynb?sig=hunter22",
        "https://b.s3.amazonaws.com/k?X-Amz-Signature=hunter22",
    ] {
        let location = parse(text);
        for shown in [location.to_string(), format!("{location:?}"), location.metadata_text()] {
            assert!(!shown.contains("hunter22") && shown.contains("***"), "{shown}");
        }
        assert_eq!(location.reveal(), text);
    }
    let error = Location::parse("abs://acct?sig=hunter22").unwrap_err();
    assert!(!format!("{error} {error:?}").contains("hunter22"));
}

#[test]
fn join_goes_one_step_down_and_keeps_the_signature() {
    let name = Segment::parse("a b#?.ipynb").unwrap();
    assert_eq!(parse("s3://b/dir/").join(&name).to_string(), "s3://b/dir/a b#?.ipynb");
    assert_eq!(parse("s3://b").join(&name).to_string(), "s3://b/a b#?.ipynb");
    assert_eq!(parse("https://h/dir?sig=x").join(&name).reveal(), "https://h/dir/a%20b%23%3F.ipynb?sig=x");
    assert_eq!(parse("out").join(&name), Location::Local(PathBuf::from("out").join("a b#?.ipynb")));
    let plain = Segment::parse("b.ipynb").unwrap();
    assert_eq!(parse("abs://a/c/dir?sig=x").join(&plain).reveal(), "abs://a/c/dir/b.ipynb?sig=x");
}

#[test]
fn a_name_that_could_leave_its_folder_is_no_segment() {
    for name in ["", ".", "..", "a/b", r"a\b", "a\0b", "a\nb", &"x".repeat(256)] {
        assert!(Segment::parse(name).is_err(), "{name:?}");
    }
    assert_eq!(Segment::parse("..a").unwrap().as_str(), "..a");
}

#[test]
fn a_key_that_a_url_would_resolve_is_refused() {
    for text in ["s3://b/a/../c", "gs://b/./c", "abs://a/c/../d", "abfss://c@a/.."] {
        assert!(matches!(Location::parse(text), Err(LocationError::Malformed { .. })), "{text}");
    }
}

#[test]
fn the_file_name_has_no_query() {
    assert_eq!(parse("https://h/d/nb.ipynb?x=1").file_name(), Some("nb.ipynb"));
    assert_eq!(parse("s3://b/d/").file_name(), None);
    assert_eq!(parse("-").file_name(), None);
}
