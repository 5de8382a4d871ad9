//! Isolation: from the switches to what the library closes, and the program that carries it out.

use std::time::Duration;

use rnbexec::Services;
use rnbexec::contain::{Containment, Files, Limits, Variables};

use crate::args::{CONTAIN, IsolationArgs, IsolationLevel};
use crate::failure::Failure;
use crate::settings::Refused;

/// What the switches close together. Folders need not exist if nothing is executed.
pub(crate) fn containment(args: IsolationArgs, executes: bool) -> Result<Containment, Refused> {
    let IsolationLevel(level) = args.isolate.unwrap_or_default();
    let mut containment = Containment::from(level);
    if args.no_network {
        containment.close_network();
    }
    if args.read_only {
        containment.close_files();
    }
    if !args.work_folder.is_empty() && containment.files == Files::Open {
        let problem = "--work-folder needs --isolate files, --isolate strict or --read-only: all else can be written too";
        return Err(Refused::Usage(problem.to_owned()));
    }
    if let Some(missing) = args.work_folder.iter().find(|folder| executes && !folder.is_dir()) {
        return Err(Failure::new(format!("{} is not a folder", missing.display()))
            .help("--work-folder names a folder that the notebook may write to")
            .into());
    }
    // The kernel may work elsewhere.
    let absolute = args.work_folder.iter().map(std::path::absolute).collect::<Result<_, _>>();
    containment.work_folders =
        absolute.map_err(|error| Failure::because("cannot find the work folder", &error))?;
    if !args.allow_env.is_empty() {
        if let Some(wrong) = args.allow_env.iter().find(|name| name.is_empty() || name.contains(['=', '\0']))
        {
            return Err(Refused::Usage(format!(
                "--allow-env takes the name of a variable, not '{}'",
                wrong.escape_default()
            )));
        }
        containment.variables = Variables::Only(args.allow_env);
    }
    containment.limits = Limits {
        memory: args.memory_limit,
        cpu: args.cpu_limit.map(Duration::from_secs),
        processes: args.process_limit,
    };
    Ok(containment)
}

/// This very program contains kernels.
pub(crate) fn able_to_contain(mut services: Services) -> Services {
    services.contain_command = vec![crate::guardian::this_program().into(), CONTAIN.into()];
    services
}

#[cfg(test)]
mod tests {
    use super::*;
    use rnbexec::contain::{Level, Part};

    fn of(args: IsolationArgs) -> Containment {
        containment(args, true).unwrap_or_else(|error| panic!("{error:?}"))
    }

    #[test]
    fn switches_close_on_top_of_the_level() {
        assert!(of(IsolationArgs::default()).is_open());
        let level =
            |level| IsolationArgs { isolate: Some(IsolationLevel(level)), ..IsolationArgs::default() };
        for all in Level::ALL {
            assert_eq!(of(level(all)), Containment::from(all));
        }
        let both = of(IsolationArgs { no_network: true, read_only: true, ..IsolationArgs::default() });
        assert_eq!(both, Containment { network: Part::Closed, ..Containment::from(Level::Files) });
        let strict = of(IsolationArgs { read_only: true, ..level(Level::Strict) });
        assert_eq!(strict.files, Files::HomeHidden, "a switch opens nothing");
    }

    #[test]
    fn allowed_variables_are_the_only_ones() {
        let args = IsolationArgs { allow_env: vec!["MINE".to_owned()], ..IsolationArgs::default() };
        assert_eq!(of(args).variables, Variables::Only(vec!["MINE".to_owned()]));
        let args = IsolationArgs { allow_env: vec!["A=B".to_owned()], ..IsolationArgs::default() };
        assert!(matches!(containment(args, true), Err(Refused::Usage(_))));
    }

    #[test]
    fn a_work_folder_where_all_can_be_written_is_a_mistake() {
        let args = IsolationArgs { work_folder: vec![".".into()], ..IsolationArgs::default() };
        assert!(matches!(containment(args, true), Err(Refused::Usage(_))));
    }
}
