use super::*;

const MOUNTS: &str = "\
31 23 0:28 / /sys/fs/cgroup rw,relatime - tmpfs tmpfs rw,mode=755
35 31 0:32 / /sys/fs/cgroup/memory rw,relatime - cgroup cgroup rw,memory
36 31 0:33 /docker/abc /sys/fs/cgroup/cpu\\040x rw,relatime shared:9 - cgroup cgroup rw,cpu,cpuacct
41 31 0:38 / /sys/fs/cgroup/unified rw,relatime - cgroup2 cgroup2 rw
";

#[test]
fn our_groups_are_found_in_both_versions_and_in_containers() {
    let groups = "4:memory:/jobs/7\n3:cpu,cpuacct:/docker/abc/x\n0::/user.slice/a.scope\n";
    let found: Vec<(Version, PathBuf)> =
        parse(MOUNTS, groups).into_iter().map(|hierarchy| (hierarchy.version, hierarchy.own)).collect();
    let expected = [
        (Version::Two, "/sys/fs/cgroup/unified/user.slice/a.scope"),
        (Version::One, "/sys/fs/cgroup/memory/jobs/7"),
        (Version::One, "/sys/fs/cgroup/cpu x/x"),
    ];
    assert_eq!(found, expected.map(|(version, path)| (version, PathBuf::from(path))));
}

#[test]
fn a_group_that_is_mounted_itself_is_ours_whatever_its_path() {
    let found = parse("35 31 0:32 /docker/abc /cg rw - cgroup cgroup rw,memory\n", "4:memory:/\n");
    assert_eq!(found[0].own, Path::new("/cg"));
}

#[test]
fn a_group_of_version_two_may_lie_beside_ours_but_not_outside_the_mount() {
    let at = |own: &str| Hierarchy {
        version: Version::Two,
        controllers: Vec::new(),
        mount: "/cg".into(),
        own: own.into(),
    };
    assert_eq!(at("/cg/a/b").places(Controller::Memory), [Path::new("/cg/a/b"), Path::new("/cg/a")]);
    assert_eq!(at("/cg").places(Controller::Memory), [Path::new("/cg")]);
}

/// A folder with the files of version 2 stands in for a group: what is written where.
#[test]
fn limits_are_written_in_the_files_of_version_two() {
    let folder = tempfile::tempdir().unwrap();
    for file in ["memory.max", "memory.swap.max", "memory.oom.group", "pids.max", "memory.events"] {
        fs::write(folder.path().join(file), "max").unwrap();
    }
    let group = Group { folder: folder.path().to_owned(), version: Version::Two };
    group.limit_memory("2GiB".parse().unwrap()).unwrap();
    group.limit_processes(NonZeroU32::new(9).unwrap()).unwrap();
    let read = |file: &str| fs::read_to_string(folder.path().join(file)).unwrap();
    assert_eq!((read("memory.max").as_str(), read("memory.swap.max").as_str()), ("2147483648", "0"));
    assert_eq!((read("memory.oom.group").as_str(), read("pids.max").as_str()), ("1", "9"));
    assert_eq!(group.memory_kills(), 0);
    fs::write(folder.path().join("memory.events"), "low 0\noom 1\noom_kill 3\n").unwrap();
    assert_eq!(group.memory_kills(), 3);
    std::mem::forget(group);
}

#[test]
fn an_owner_is_told_by_the_name_and_other_names_are_left_alone() {
    let owner = Owner::of_this_process().unwrap();
    assert_eq!(Owner::parse(&format!("{}-0a1b2c3d", owner.prefix())), Some(owner));
    for name in ["rnbexec-kernel-abc", "docker", "rnbexec-1-x-3-4", "rnbexec-"] {
        assert_eq!(Owner::parse(name), None, "{name}");
    }
}
