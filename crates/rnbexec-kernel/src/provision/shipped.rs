//! The kernels of the repository's `kernels/` folder, embedded so that an installed binary has them too.

use super::requirements::{Requirements, RequirementsError};

/// A kernel that comes with rnbexec: a kernelspec and its locked requirements.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct ShippedKernel {
    /// The kernelspec's name, which is the folder's.
    pub name: &'static str,
    /// The kernelspec, as JSON text.
    pub kernel_json: &'static str,
    /// The hash-pinned requirements of its environment.
    pub requirements: &'static str,
    /// Its own Python modules: file names and sources.
    pub modules: &'static [(&'static str, &'static str)],
}

macro_rules! module {
    ($kernel:literal, $file:literal) => {
        ($file, include_str!(concat!("../../../../kernels/", $kernel, "/", $file)))
    };
}

/// All kernels that come with rnbexec.
pub const SHIPPED_KERNELS: &[ShippedKernel] = &[ShippedKernel {
    name: "rnbexec-triage",
    kernel_json: include_str!("../../../../kernels/rnbexec-triage/kernel.json"),
    requirements: include_str!("../../../../kernels/rnbexec-triage/requirements.txt"),
    modules: &[
        module!("rnbexec-triage", "rnbexec_show.py"),
        module!("rnbexec-triage", "rnbexec_ti.py"),
        module!("rnbexec-triage", "rnbexec_verdict.py"),
    ],
}];

impl ShippedKernel {
    /// What its environment is made of.
    pub(super) fn requirements(&self) -> Result<Requirements, RequirementsError> {
        let modules = self.modules.iter().map(|&(name, source)| (name.to_owned(), source.to_owned()));
        Ok(Requirements::from_file(self.requirements)?.with_modules(modules.collect()))
    }
}

/// The shipped kernel of this name.
pub(super) fn shipped(name: &str) -> Option<&'static ShippedKernel> {
    SHIPPED_KERNELS.iter().find(|kernel| kernel.name == name)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn every_shipped_kernel_is_locked_and_says_where_its_requirements_are() {
        for kernel in SHIPPED_KERNELS {
            let spec: serde_json::Value = serde_json::from_str(kernel.kernel_json).unwrap();
            assert_eq!(spec["metadata"]["rnbexec"]["requirements"], "requirements.txt", "{}", kernel.name);
            assert!(kernel.requirements().unwrap().is_locked(), "{}", kernel.name);
        }
    }

    #[test]
    fn every_shipped_kernel_brings_the_modules_that_it_names() {
        for kernel in SHIPPED_KERNELS {
            let spec: serde_json::Value = serde_json::from_str(kernel.kernel_json).unwrap();
            let mut named = super::super::modules::names(kernel.name, &spec["metadata"]).unwrap();
            named.sort_unstable();
            assert_eq!(
                named,
                kernel.modules.iter().map(|module| module.0).collect::<Vec<_>>(),
                "{}",
                kernel.name
            );
        }
    }
}
