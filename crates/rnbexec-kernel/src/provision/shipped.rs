//! The kernels of the repository's `kernels/` folder, embedded so that an installed binary has them too.

/// A kernel that comes with rnbexec: a kernelspec and its locked requirements.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct ShippedKernel {
    /// The kernelspec's name, which is the folder's.
    pub name: &'static str,
    /// The kernelspec, as JSON text.
    pub kernel_json: &'static str,
    /// The hash-pinned requirements of its environment.
    pub requirements: &'static str,
}

/// All kernels that come with rnbexec.
pub const SHIPPED_KERNELS: &[ShippedKernel] = &[ShippedKernel {
    name: "rnbexec-triage",
    kernel_json: include_str!("../../../../kernels/rnbexec-triage/kernel.json"),
    requirements: include_str!("../../../../kernels/rnbexec-triage/requirements.txt"),
}];

/// The shipped kernel of this name.
pub(super) fn shipped(name: &str) -> Option<&'static ShippedKernel> {
    SHIPPED_KERNELS.iter().find(|kernel| kernel.name == name)
}

#[cfg(test)]
mod tests {
    use super::super::requirements::Requirements;
    use super::*;

    #[test]
    fn every_shipped_kernel_is_locked_and_says_where_its_requirements_are() {
        for kernel in SHIPPED_KERNELS {
            let spec: serde_json::Value = serde_json::from_str(kernel.kernel_json).unwrap();
            assert_eq!(spec["metadata"]["rnbexec"]["requirements"], "requirements.txt", "{}", kernel.name);
            assert!(Requirements::from_file(kernel.requirements).unwrap().is_locked(), "{}", kernel.name);
        }
    }
}
