//! `manager explain`.

use serde_json::json;

use super::args::{ExplainArgs, overrides};
use super::{configure, print, print_json};
use crate::exit;
use crate::failure::Failure;

/// `manager explain`.
pub(super) async fn explain(args: ExplainArgs) -> Result<u8, Failure> {
    let config = configure::load(&args.config, overrides(&[&args.source, &args.config]))?;
    let reference = configure::reference(&args.incident)?;
    let manager = configure::quiet_manager(config).await?;
    let explanation = manager.explain(&reference).await.map_err(|trouble| configure::of_trouble(&trouble))?;
    let redactor = manager.redactor();
    if args.json {
        let mut explanation = json!(explanation);
        redactor.value(&mut explanation);
        print_json(&explanation)?;
    } else {
        print(redactor.text(&format!("{explanation}\n")).0)?;
    }
    Ok(exit::SUCCESS)
}
