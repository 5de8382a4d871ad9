//! Which translator a notebook needs.

use super::Translator;
use super::bash::Bash;
use super::csharp::CSharp;
use super::fsharp::FSharp;
use super::javascript::JavaScript;
use super::julia::Julia;
use super::matlab::Matlab;
use super::powershell::PowerShell;
use super::python::Python;
use super::r::R;
use super::scala::Scala;

/// The translator for a kernel, by its name, else by its language.
///
/// First as papermill does: the kernel's exact name, then the exact language. Then, more leniently, the
/// language and the kernel under the names by which they go elsewhere (`octave`, `pwsh`, `C#`, `python3`), in
/// any case.
pub fn translator_for(kernel_name: &str, language: &str) -> Option<&'static dyn Translator> {
    papermill(kernel_name)
        .or_else(|| papermill(language))
        .or_else(|| by_alias(&language.to_lowercase()))
        .or_else(|| by_alias(&kernel_name.to_lowercase()))
}

/// The names in papermill's own registry.
fn papermill(name: &str) -> Option<&'static dyn Translator> {
    Some(match name {
        "python" | "pysparkkernel" => &Python,
        "R" | "sparkrkernel" => &R,
        "scala" | "sparkkernel" => &Scala,
        "julia" => &Julia,
        "matlab" => &Matlab,
        ".net-csharp" => &CSharp,
        ".net-fsharp" => &FSharp,
        ".net-powershell" => &PowerShell,
        "bash" => &Bash,
        _ => return None,
    })
}

/// Other names, in lower case.
fn by_alias(name: &str) -> Option<&'static dyn Translator> {
    Some(match name {
        "python" | "python2" | "python3" | "ipython" | "ipython3" | "pyspark" | "sage" | "xpython" => &Python,
        "r" | "ir" | "sparkr" | "xr" => &R,
        "scala" | "scala2" | "scala3" | "spark" | "almond" => &Scala,
        "matlab" | "octave" | "xoctave" | "imatlab" => &Matlab,
        ".net-csharp" | "c#" | "csharp" => &CSharp,
        ".net-fsharp" | "f#" | "fsharp" | "ifsharp" => &FSharp,
        ".net-powershell" | "powershell" | "pwsh" => &PowerShell,
        "bash" => &Bash,
        "javascript" | "typescript" | "js" | "ts" | "ecmascript" | "node" | "nodejs" | "deno" | "tslab"
        | "jslab" => &JavaScript,
        _ if name == "julia" || name.starts_with("julia-") => &Julia,
        _ => return None,
    })
}
