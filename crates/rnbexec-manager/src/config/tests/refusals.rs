//! What is refused: always with the setting's name, where it stands, and what to write instead.

use super::*;

fn refused(file: &str) -> String {
    match Config::load(sources(file)) {
        Ok(_) => panic!("{file} was not refused"),
        Err(error) => error.to_string(),
    }
}

#[test]
fn each_wrong_value_is_told_with_its_place_and_what_to_write() {
    for (file, message) in [
        (
            "[run]\n\ntimeout = 'soon'",
            "run.timeout (manager.toml, line 3): \"soon\" is no duration; write seconds such as 90, a duration such as \"10m\" or \
             \"1h30m\", or \"none\"",
        ),
        (
            "[run]\njobs = 0",
            "run.jobs (manager.toml, line 2): 0 is out of range; write a whole number from 1 to 1000",
        ),
        (
            "[run]\njobs = '4'",
            "run.jobs (manager.toml, line 2): \"4\" is no such number; write a whole number from 1 to 1000",
        ),
        (
            "[run]\nbundle = 'maybe'",
            "run.bundle (manager.toml, line 2): \"maybe\" is none of them; write true, false or \"auto\"",
        ),
        (
            "[run]\nnotebook = 'shipped:x'",
            "run.notebook (manager.toml, line 2): no notebook named \"x\" is part of the program; write a path, an address of a \
             notebook, or \"shipped:incident-triage\"",
        ),
        (
            "[run]\nnotebook = '-'",
            "run.notebook (manager.toml, line 2): \"-\" cannot be read again and again; write a path, an address of a notebook, or \
             \"shipped:incident-triage\"",
        ),
        (
            "[run]\nkernel = 'a b'",
            "run.kernel (manager.toml, line 2): \"a b\" is no kernel's name; write a kernelspec's name, such as \"python3\"",
        ),
        (
            "[run]\nisolate = 'jail'",
            "run.isolate (manager.toml, line 2): \"jail\" is none of the choices; write \"none\", \"network\", \"files\", \"strict\"",
        ),
        (
            "[run]\nisolate = 'network'\nwork_folder = 'results'",
            "run.work_folder (manager.toml, line 3): notebooks can write to all other folders, too; leave it out, or write isolate = \
             \"files\", isolate = \"strict\" or read_only = true too",
        ),
        (
            "[run]\nallow_env = ['A=B']",
            "run.allow_env (manager.toml, line 2): what is written is no variable's name; write the names of variables, such as \
             [\"HTTPS_PROXY\"]",
        ),
        (
            "[run]\nmemory_limit = 'much'",
            "run.memory_limit (manager.toml, line 2): \"much\" is no such amount of memory; write such as \"512MiB\" or \"2GiB\", at \
             least \"1MiB\"",
        ),
        (
            "[run]\nmemory_limit = 512",
            "run.memory_limit (manager.toml, line 2): 512 is no such amount of memory; write such as \"512MiB\" or \"2GiB\", at \
             least \"1MiB\"",
        ),
        (
            "[run]\ncpu_limit = 0",
            "run.cpu_limit (manager.toml, line 2): 0 is out of range; write a whole number from 1 on",
        ),
        (
            "[run]\nprocess_limit = '50'",
            "run.process_limit (manager.toml, line 2): \"50\" is no such number; write a whole number from 1 on",
        ),
        (
            "[run]\nkeep = 'some'",
            "run.keep (manager.toml, line 2): \"some\" is none of the choices; write \"findings\", \"all\", \"nothing\"",
        ),
        (
            "[run.parameters]\nws_id = 'x'",
            "run.parameters (manager.toml, line 1): ws_id is set by the manager; leave it out (it comes from the incident, \
             azure.tenant and sentinel.workspace_id)",
        ),
        (
            "[source]\nkind = 'email'",
            "source.kind (manager.toml, line 2): \"email\" is none of the choices; write \"sentinel\", \"queue\", \"folder\"",
        ),
        (
            "[source.sentinel]\nstatus = ['New', 'Closed']",
            "source.sentinel.status (manager.toml, line 2): \"Closed\" is none of the choices; write \"New\", \"Active\" (closed \
             incidents are never triaged)",
        ),
        (
            "[source.sentinel]\nseverity = 'Critical'",
            "source.sentinel.severity (manager.toml, line 2): \"Critical\" is no severity; there are High, Medium, Low and \
             Informational; write \"High\", \"Medium\", \"Low\", \"Informational\" or a list of them",
        ),
        (
            "[source.sentinel]\ntitle = '(unclosed'",
            "source.sentinel.title (manager.toml, line 2): \"(unclosed\" is no regular expression: unclosed group; write a regular \
             expression such as \"(?i)brute force\"",
        ),
        (
            "[source.sentinel]\nrules = 'not a rule!'",
            "source.sentinel.rules (manager.toml, line 2): \"not a rule!\" is no rule; write a rule's GUID or the ARM id of the rule",
        ),
        (
            "[source.sentinel]\nsince = 'yesterday'",
            "source.sentinel.since (manager.toml, line 2): \"yesterday\" is neither a duration nor a time; write how far back \
             (\"7d\") or a time (\"2025-01-31T00:00:00Z\")",
        ),
        (
            "[source.sentinel]\npage_size = 5000",
            "source.sentinel.page_size (manager.toml, line 2): 5000 is out of range; write a whole number from 1 to 1000",
        ),
        (
            "[source.queue]\nvisibility = '8d'",
            "source.queue.visibility (manager.toml, line 2): 8d is out of range; write seconds such as 90, or a duration such as \
             \"10m\" or \"1h30m\", from 1s to 7d",
        ),
        (
            "[source.queue]\nqueue = 'Incidents'",
            "source.queue.queue (manager.toml, line 2): \"Incidents\" is no queue's name; write a queue's name: 3 to 63 small \
             letters, digits and single -",
        ),
        (
            "[source.queue]\nurl = 'https://q.test/abc'\nqueue = 'abc'",
            "source.queue.queue (manager.toml, line 3): cannot be given together with source.queue.url; leave queue out: the \
             address ends in it",
        ),
        (
            "[azure]\ncloud = 'germany'",
            "azure.cloud (manager.toml, line 2): \"germany\" is no cloud; write \"public\", \"government\" or \"china\"",
        ),
        (
            "[azure]\nauthority = 'login.test'",
            "azure.authority (manager.toml, line 2): \"login.test\" is no address (relative URL without a base); write an address \
             such as \"https://host\" or \"http://127.0.0.1:8080\"",
        ),
        (
            "[azure]\ncredentials = ['cli', 'password']",
            "azure.credentials (manager.toml, line 2): \"password\" is no source of an identity; write a list of \"environment\", \
             \"certificate\", \"workload\", \"aml\", \"msi\", \"cli\", \"azd\"",
        ),
        (
            "[azure.audiences]\nstorage = 'https://storage.azure.com/.default'",
            "azure.audiences.storage (manager.toml, line 2): \"https://storage.azure.com/.default\" is a scope; write what tokens \
             are made for, without /.default",
        ),
        (
            "[azure.api_versions]\nqueue = '2021/12'",
            "azure.api_versions.queue (manager.toml, line 2): \"2021/12\" is no version; write a version such as \"2021-12-02\"",
        ),
        (
            "[sentinel]\nworkspace = 'a/b'",
            "sentinel.workspace (manager.toml, line 2): \"a/b\" is no name in Azure; write the name as the portal shows it",
        ),
        (
            "[policy]\nminimum_confidence = 70",
            "policy.minimum_confidence (manager.toml, line 2): 70 is out of range; write a number from 0.0 to 1.0",
        ),
        (
            "[policy]\nclassification = true",
            "policy.classification (manager.toml, line 2): only closed incidents have a classification, and this policy closes \
             none; write status = \"close\" too (policy.status)",
        ),
        (
            "[policy]\ntasks = 'yes'",
            "policy.tasks (manager.toml, line 2): \"yes\" is neither true nor false; write true or false",
        ),
        (
            "[publish]\nfile = 'triage.ipynb'",
            "publish.file (manager.toml, line 2): the file name \"triage.ipynb\" is the same for every incident; use {incident_id}, \
             {incident_number} or {run_key}; write a relative path such as \"{incident_id}.ipynb\"",
        ),
        (
            "[publish.workspace]\nfolder = 'Users/../..'",
            "publish.workspace.folder (manager.toml, line 2): \"Users/../..\" cannot be a path to publish to: \"..\" cannot be a \
             file name: it means a folder; write a relative path such as \"Users/TriageNbs\"",
        ),
        (
            "[publish.workspace]\nlink = 'https://x.test/{file}'",
            "publish.workspace.link (manager.toml, line 2): the link \"https://x.test/{file}\" cannot be used: unknown placeholder \
             {file}; there are {studio}, {subscription}, {resource_group}, {workspace}, {tenant}, {path}; write \"long\", \
             \"short\", or an address with placeholders such as {path}",
        ),
        (
            "[comment]\nlimit = 40000",
            "comment.limit (manager.toml, line 2): 40000 is out of range; write a whole number from 300 to 30000",
        ),
        (
            "[retry.kernel]\nfirst_wait = '2m'\nlongest_wait = '1m'",
            "retry.kernel.first_wait (manager.toml, line 2): 2m is longer than longest_wait; write a shorter one",
        ),
        (
            "[redact]\npatterns = ['x*']",
            "redact.patterns (manager.toml, line 2): the pattern \"x*\" matches the empty text; write regular expressions, each in \
             quotes",
        ),
        (
            "[log]\nformat = 'xml'",
            "log.format (manager.toml, line 2): \"xml\" is none of the choices; write \"text\", \"json\"",
        ),
        ("[state]\nfolder = ''", "state.folder (manager.toml, line 2): the text is empty; write a path"),
        ("run = 3", "run (manager.toml, line 1): 3 is no section; write it as a section"),
        ("route = ['x']", "route[1] (manager.toml, line 1): \"x\" is no section; write [[route]] over each"),
    ] {
        assert_eq!(refused(file), message);
    }
}

#[test]
fn a_name_that_no_setting_has_is_refused_with_the_nearest_one() {
    for (file, message) in [
        (
            "[run]\ntime_out = 3",
            "run.time_out (manager.toml, line 2): no setting has this name; did you mean run.timeout?",
        ),
        ("[rum]\njobs = 3", "rum (manager.toml, line 1): no setting has this name; did you mean run?"),
        (
            "page_size = 3",
            "page_size (manager.toml, line 1): no setting has this name; did you mean source.sentinel.page_size?",
        ),
        (
            "[log]\nxyz = 3",
            "log.xyz (manager.toml, line 2): no setting has this name; known here are format, file",
        ),
        (
            "[[route]]\nname = 'x'\n[route.when]\nlabels = 'y'",
            "route[1].when.labels (manager.toml, line 4): no setting has this name; did you mean route[1].when.label?",
        ),
    ] {
        assert_eq!(refused(file), message);
    }
}

#[test]
fn routes_that_cannot_be_meant_are_refused() {
    for (file, message) in [
        (
            "[[route]]\nskip = true",
            "route[1].name: not given; write a name: it stands in the log and in explanations",
        ),
        (
            "[[route]]\nname = 'default'",
            "route[1].name (manager.toml, line 2): \"default\" is what happens where no route matches; write a name",
        ),
        (
            "[[route]]\nname = 'a'\n[route.when]\nlabel = 'x'\n[[route]]\nname = 'A'",
            "route[2].name (manager.toml, line 6): a route before it is named \"A\" too; write a name",
        ),
        (
            "[[route]]\nname = 'all'\n[[route]]\nname = 'some'\nwhen = { label = 'x' }",
            "route[2].when (manager.toml, line 5): is never looked at, because route \"all\" before it has no conditions; give \
             \"all\" a [route.when], or write it last",
        ),
        (
            "[[route]]\nname = 'a'\nskip = true\njobs = 2",
            "route[1].jobs (manager.toml, line 4): nothing runs on this route: skip is true; leave it out, or leave skip out",
        ),
    ] {
        assert_eq!(refused(file), message);
    }
}

#[test]
fn a_file_that_is_no_toml_is_refused_with_the_line() {
    assert!(
        refused("[run]\njobs = \n").starts_with("manager.toml, line 2: "),
        "{}",
        refused("[run]\njobs = \n")
    );
    assert!(refused("[run]\njobs = 1\njobs = 2").starts_with("manager.toml, line 3: duplicate key"));
}

#[test]
fn all_problems_are_told_at_once() {
    let message = refused("[run]\njobs = 0\nbundle = 3\n[log]\nfile_name = 'x'");
    let lines: Vec<&str> = message.lines().collect();
    assert_eq!(lines[0], "3 settings cannot be used");
    assert!(lines[1].starts_with("- run.jobs (manager.toml, line 2)"), "{message}");
    assert!(lines[2].starts_with("- run.bundle (manager.toml, line 3)"), "{message}");
    assert!(lines[3].starts_with("- log.file_name (manager.toml, line 5)"), "{message}");
}

#[test]
fn variables_and_flags_are_checked_like_the_file_and_name_themselves() {
    let variable = |name, value| with_variables("", &[(name, value)]).unwrap_err().to_string();
    assert_eq!(
        variable("RNBEXEC_MANAGER_RUN__JOBS", "many"),
        "run.jobs (variable RNBEXEC_MANAGER_RUN__JOBS): \"many\" is no such number; write a whole number from 1 to 1000"
    );
    assert_eq!(
        variable("RNBEXEC_MANAGER_RUN__JOB", "2"),
        "run.job (variable RNBEXEC_MANAGER_RUN__JOB): no setting has this name; did you mean run.jobs?"
    );
    assert_eq!(
        variable("RNBEXEC_MANAGER_JOBS", "2"),
        "jobs (variable RNBEXEC_MANAGER_JOBS): no setting has this name; did you mean run.jobs?"
    );
    assert_eq!(
        variable("RNBEXEC_MANAGER_SOURCE__SENTINEL__LABELS", "[a, b]"),
        "source.sentinel.labels (variable RNBEXEC_MANAGER_SOURCE__SENTINEL__LABELS): \"[a, b]\" looks like a list and is none in \
         TOML; write a text or a list of texts"
    );
    let flag = |name, value| with_flags("[[route]]\nname = 'x'", &[(name, value)]).unwrap_err().to_string();
    assert_eq!(
        flag("run.keep", "x"),
        "run.keep (command line): \"x\" is none of the choices; write \"findings\", \"all\", \"nothing\""
    );
    assert_eq!(
        flag("route.0.name", "y"),
        "route.0.name (command line): route is a list; give the whole of it as one TOML value"
    );
    assert_eq!(flag("log.file.name", "y"), "log.file (command line): a table is no text; write a path");
}

#[test]
fn a_secret_that_was_written_in_the_wrong_place_is_shown_nowhere() {
    let secret = "c2VjcmV0LXZhbHVlLW9mLXRoZS1hY2NvdW50LWtleQ==";
    for text in [
        format!("[source.queue]\naccount_key = '{secret}'"),
        format!("[publish.workspace]\naccount_key = 'vault:{secret}'"),
        format!("[publish.blob]\naccount_key = 'env:{secret}'"),
        format!("[publish.blob]\naccount_key = 'https://v.test/secrets/{secret}'"),
        format!("[publish.blob]\naccount_key = 'https://u:{secret}@v.test/secrets/n'"),
        format!("[publish.blob]\nurl = 'https://a.blob.core.windows.net/c?sig={secret}'"),
        format!("[source.queue]\nurl = 'https://a.queue.core.windows.net/abc?sig={secret}'"),
        format!("[azure]\nresource_manager = 'https://u:{secret}@arm.test'"),
        format!("[redact]\nvariables = ['{secret}']"),
    ] {
        let message = refused(&text);
        assert!(!message.contains("c2VjcmV0"), "{message}");
    }
}
