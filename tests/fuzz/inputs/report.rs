//! Any bytes as a notebook: its page is made, and no script of the notebook's stands in it.

use rnbexec::report::{Code, ReportOptions, Scripts, report};
use rnbexec_notebook::Notebook;

pub(crate) fn check(bytes: &[u8]) {
    let mut count = 0;
    let mut fresh_id = || {
        count += 1;
        format!("new{count}")
    };
    let Ok(parsed) = Notebook::parse(bytes, &mut fresh_id) else { return };
    for scripts in [Scripts::OnDemand, Scripts::Run, Scripts::Omitted] {
        let code = if scripts == Scripts::Run { Code::Folded } else { Code::Omitted };
        let options =
            ReportOptions { name: Some("name".to_owned()), code, scripts, ..ReportOptions::default() };
        let page = report(&parsed.notebook, &options);
        assert!(page.ends_with("</html>") || page.ends_with("</html>\n"), "the page has no end");
        if scripts == Scripts::Omitted {
            let lower = page.to_ascii_lowercase();
            assert!(!lower.contains("<script") && !lower.contains("<iframe"), "a script is in the page");
        }
    }
}
