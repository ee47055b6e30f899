//! Options: three layers, one list, and words for everything that cannot be.

use std::{ffi::OsString, fs, path::PathBuf, process};

use clap::{CommandFactory, Parser};
use sosik_core::{LogId, Verb};
use sosik_server::{Checked, OptionsError, ServeArgs, ServeError, start};

#[derive(Debug, Parser)]
struct Command {
    #[command(flatten)]
    serve: ServeArgs,
}

/// A configuration file that goes away with the test.
struct File(PathBuf);

impl File {
    fn new(name: &str, text: &str) -> Self {
        let path = std::env::temp_dir().join(format!("sosik-{}-{name}.toml", process::id()));
        fs::write(&path, text).unwrap();
        Self(path)
    }
}

impl Drop for File {
    fn drop(&mut self) {
        let _ = fs::remove_file(&self.0);
    }
}

/// What flags, variables and a file come to.
fn load(flags: &[&str], variables: &[(&str, &str)], file: Option<&File>) -> Result<Checked, OptionsError> {
    let config = file.map(|file| format!("--config={}", file.0.display()));
    let words = ["serve"].into_iter().chain(config.as_deref()).chain(flags.iter().copied());
    let args = Command::try_parse_from(words).unwrap().serve;
    let variable = |name: &str| {
        let found = variables.iter().find(|(own, _)| *own == name);
        found.map(|(_, value)| OsString::from(value))
    };
    Checked::load(args, variable)
}

/// One option as the three layers and nobody would say it, and what is used then.
struct Case {
    key: &'static str,
    flag: &'static str,
    variable: &'static str,
    file: &'static str,
    used: fn(&Checked) -> String,
    /// By flag, by variable, by file, by default.
    values: [&'static str; 4],
}

#[rustfmt::skip]
const CASES: &[Case] = &[
    Case { key: "listen", flag: "127.0.0.1:1", variable: "127.0.0.1:2", file: "\"127.0.0.1:3\"",
        used: |c| c.listen.to_string(), values: ["127.0.0.1:1", "127.0.0.1:2", "127.0.0.1:3", "127.0.0.1:7171"] },
    Case { key: "tcp_listen", flag: "off", variable: "[::1]:2", file: "\"127.0.0.1:3\"",
        used: |c| format!("{:?}", c.tcp_listen), values: ["None", "Some([::1]:2)", "Some(127.0.0.1:3)", "Some(127.0.0.1:7172)"] },
    Case { key: "data", flag: "a", variable: "b", file: "\"c\"",
        used: |c| c.data.display().to_string(), values: ["a", "b", "c", "sosik-data"] },
    Case { key: "store", flag: "memory", variable: "disk", file: "\"memory\"",
        used: |c| format!("{:?}", c.store).to_lowercase(), values: ["memory", "disk", "memory", "disk"] },
    Case { key: "disk_reserve_bytes", flag: "1", variable: "2", file: "3",
        used: |c| c.disk_reserve_bytes.to_string(), values: ["1", "2", "3", "268435456"] },
    Case { key: "store_bytes_max", flag: "8388608", variable: "20000000", file: "30000000",
        used: |c| c.capacities[0].bytes_max.to_string(), values: ["8388608", "20000000", "30000000", "10737418240"] },
    Case { key: "full", flag: "trim", variable: "refuse", file: "\"trim\"",
        used: |c| format!("{:?}", c.capacities[0].full).to_lowercase(), values: ["trim", "refuse", "trim", "refuse"] },
    Case { key: "memory_bytes_max", flag: "8388608", variable: "20000000", file: "30000000",
        used: |c| c.capacities[1].bytes_max.to_string(), values: ["8388608", "20000000", "30000000", "1073741824"] },
    Case { key: "public_url", flag: "http://a/", variable: "http://b, https://b", file: "[\"http://c\"]",
        used: |c| join(&c.public_urls), values: ["http://a", "http://b https://b", "http://c", ""] },
    Case { key: "allow_origin", flag: "http://a", variable: "http://b", file: "[\"http://c\", \"http://d\"]",
        used: |c| join(&c.allow_origins), values: ["http://a", "http://b", "http://c http://d", ""] },
    Case { key: "demo", flag: "true", variable: "false", file: "true",
        used: |c| c.demo.to_string(), values: ["true", "false", "true", "false"] },
    Case { key: "lab", flag: "true", variable: "false", file: "true",
        used: |c| c.lab.to_string(), values: ["true", "false", "true", "false"] },
    Case { key: "connections_max", flag: "1", variable: "2", file: "3",
        used: |c| c.limits.connections_max.to_string(), values: ["1", "2", "3", "20000"] },
    Case { key: "connections_per_address_max", flag: "0", variable: "2", file: "3",
        used: |c| c.limits.connections_per_address_max.to_string(), values: ["0", "2", "3", "256"] },
    Case { key: "process_bytes_max", flag: "0", variable: "2", file: "3",
        used: |c| c.process_bytes_max.map_or_else(String::new, |bytes| bytes.to_string()), values: ["0", "2", "3", ""] },
];

fn join(origins: &[sosik_server::Origin]) -> String {
    origins.iter().map(ToString::to_string).collect::<Vec<_>>().join(" ")
}

// Mutants: `over` called the other way round -> the file wins; a key left out of it -> its default wins.
#[test]
fn flags_lie_over_the_environment_over_the_file() {
    for Case { key, flag, variable, file, used, values } in CASES {
        let file = File::new(&format!("layers-{key}"), &format!("{key} = {file}\n"));
        let flag = format!("--{}={flag}", key.replace('_', "-"));
        let env = format!("SOSIK_{}", key.to_uppercase());
        let variables = [(&*env, *variable)];
        for (flags, variables, file, value) in [
            (&[&*flag][..], &variables[..], Some(&file), values[0]),
            (&[], &variables, Some(&file), values[1]),
            (&[], &[], Some(&file), values[2]),
            (&[], &[(&*env, "")], None, values[3]),
        ] {
            assert_eq!(used(&load(flags, variables, file).unwrap()), value, "{key} {flags:?} {variables:?}");
        }
    }
    let untried = ServeArgs::ALL.iter().filter(|option| CASES.iter().all(|case| case.key != option.key));
    assert_eq!(untried.map(|option| option.key).collect::<Vec<_>>(), ["config"], "tried below");
}

// Mutant: a default in the list that is not the one used -> fails (checked for addresses and numbers).
#[test]
fn the_list_of_options_is_what_the_command_line_says() {
    let command = Command::command();
    let used = load(&[], &[], None).unwrap();
    for option in ServeArgs::ALL {
        let arg = command.get_arguments().find(|arg| arg.get_id() == option.key).unwrap();
        assert_eq!(arg.get_long().unwrap(), option.key.replace('_', "-"));
        assert_eq!(option.env, format!("SOSIK_{}", option.key.to_uppercase()));
        let help = arg.get_help().unwrap().to_string();
        for part in [option.help.trim(), option.env, option.default] {
            assert!(help.contains(part), "{}: {part} is not in {help}", option.key);
        }
        let case = CASES.iter().find(|case| case.key == option.key && !case.values[3].is_empty());
        if let Some(case) = case {
            assert!((case.used)(&used).contains(option.default), "{}", option.key);
        }
    }
}

#[test]
fn a_switch_needs_no_value_and_lists_repeat() {
    assert!(load(&["--demo"], &[], None).unwrap().demo);
    let two = load(&["--allow-origin=http://a", "--allow-origin=http://b"], &[], None).unwrap();
    assert_eq!(join(&two.allow_origins), "http://a http://b");
    assert_eq!(
        load(&["--store=memory"], &[("SOSIK_STORE", "disk")], None).unwrap().limits.connections_max,
        20_000
    );
}

#[test]
fn the_file_is_found_by_flag_or_variable_and_must_then_be_there() {
    let file = File::new("by-variable", "connections_max = 9");
    let path = file.0.display().to_string();
    assert_eq!(load(&[], &[("SOSIK_CONFIG", &path)], None).unwrap().limits.connections_max, 9);
    let error = load(&["--config=/nowhere/at/all.toml"], &[], None).unwrap_err().to_string();
    assert!(error.contains("/nowhere/at/all.toml") && error.contains("--config"), "{error}");
    let error = load(&[], &[], Some(&File::new("unknown", "\nlisen = \"x\""))).unwrap_err().to_string();
    assert!(error.contains("line 2") && error.contains("did you mean listen?"), "{error}");
}

// Mutants: the range of a number not checked; `*` taken for an origin; any other store taken -> its line is no error.
#[test]
fn every_bad_value_is_answered_with_what_to_write() {
    for (flag, variable, words) in [
        ("--listen=localhost:7171", None, &["listen", "localhost:7171", "127.0.0.1:7171"][..]),
        ("--listen=127.0.0.1", None, &["listen", "port"]),
        ("--listen=127.0.0.1:70000", None, &["listen", "70000"]),
        ("--listen=off", None, &["listen", "off"]),
        ("--tcp-listen=of", None, &["tcp_listen", "or off"]),
        ("--store=tape", None, &["store", "tape", "disk", "memory"]),
        ("--connections-max=0", None, &["connections_max", "1 to 1000000"]),
        ("--connections-max=1000001", None, &["connections_max", "1000001"]),
        ("--connections-per-address-max=1000001", None, &["connections_per_address_max", "0 to 1000000"]),
        ("--public-url=chat.example", None, &["public_url", "chat.example", "https://"]),
        ("--public-url=https://chat.example/path", None, &["public_url", "/path"]),
        ("--allow-origin=*", None, &["allow_origin", "*", "https://"]),
        ("--allow-origin=null", None, &["allow_origin", "null"]),
        ("--store=memory", Some(("SOSIK_DEMO", "yes")), &["SOSIK_DEMO", "yes", "true or false"]),
        (
            "--store=memory",
            Some(("SOSIK_CONNECTIONS_MAX", "many")),
            &["SOSIK_CONNECTIONS_MAX", "whole number"],
        ),
    ] {
        let error = load(&[flag], variable.as_slice(), None).unwrap_err().to_string();
        assert!(words.iter().all(|word| error.contains(word)), "{flag}: {error}");
    }
}

// Mutants: only the HTTP listener looked at -> the second line starts; unspecified taken for loopback -> the first.
#[test]
fn the_demo_is_for_loopback_alone() {
    for (flag, option) in [
        ("--listen=0.0.0.0:0", "listen = 0.0.0.0:0"),
        ("--tcp-listen=192.0.2.1:0", "tcp_listen = 192.0.2.1:0"),
        ("--listen=[::]:0", "listen = [::]:0"),
    ] {
        let error = load(&["--demo", flag], &[], None).unwrap_err().to_string();
        assert!(error.contains(option) && error.contains("anyone") && error.contains("loopback"), "{error}");
        assert!(load(&[flag], &[], None).is_ok());
    }
    for flag in ["--listen=127.0.0.2:0", "--listen=[::1]:0"] {
        assert!(load(&["--demo", flag], &[], None).is_ok(), "{flag}");
    }
}

// Mutant: the address not looked at -> the first line starts.
#[test]
fn the_laboratory_is_for_loopback_alone() {
    for flag in ["--listen=0.0.0.0:0", "--listen=[::]:0"] {
        let error = load(&["--lab", flag], &[], None).unwrap_err().to_string();
        assert!(error.contains("--lab") && error.contains("loopback"), "{error}");
    }
    assert!(load(&["--lab", "--listen=127.0.0.2:0", "--tcp-listen=0.0.0.0:0"], &[], None).unwrap().lab);
}

fn namespaces(name: &str, text: &str) -> Result<Checked, OptionsError> {
    load(&[], &[], Some(&File::new(name, text)))
}

// Mutants: `nobody` as the default left out; signals on disk; verbs mixed up -> fails.
#[test]
fn a_namespace_is_closed_but_for_what_it_opens() {
    let used = namespaces(
        "namespaces",
        r#"
            [[namespace]]
            name = "news"
            [[namespace]]
            name = "typing"
            kind = "signal"
            read = "anyone"
            publish = "anyone"
            [[namespace]]
            name = "cache"
            log = "memory"
            history = "anyone"
            presence = "nobody"
            events_max = 7
        "#,
    )
    .unwrap();
    let seen: Vec<_> = used
        .namespaces
        .iter()
        .map(|opened| {
            let verbs: Vec<_> = Verb::ALL.into_iter().filter(|&verb| opened.anyone.has(verb)).collect();
            let own = &opened.namespace;
            (&*own.name, own.log, own.signal, own.events_max, verbs)
        })
        .collect();
    assert_eq!(
        seen,
        [
            ("news", LogId::Disk, false, 10_000, vec![]),
            ("typing", LogId::Memory, true, 10_000, vec![Verb::Read, Verb::Publish]),
            ("cache", LogId::Memory, false, 7, vec![Verb::History]),
        ]
    );
}

#[test]
fn a_namespace_says_how_much_it_keeps_and_for_how_long() {
    let used = namespaces(
        "kept",
        r#"
            [[namespace]]
            name = "plain"
            [[namespace]]
            name = "said"
            bytes_max = 2000000
            age_max_s = 90
            forget_after_s = 60
            idempotency_keys_max = 0
            [[namespace]]
            name = "ever"
            age_max_s = 0
        "#,
    )
    .unwrap();
    let seen = used.namespaces.iter().map(|opened| {
        let own = &opened.namespace;
        (own.bytes_max, own.age_max_ms, own.forget_after_ms, own.forgettable, own.idempotency_keys_max)
    });
    let week = Some(7 * 24 * 3_600_000);
    assert_eq!(
        seen.collect::<Vec<_>>(),
        [
            (64 << 20, week, None, false, 1_000_000),
            (2_000_000, Some(90_000), Some(60_000), true, 0),
            (64 << 20, None, None, false, 1_000_000),
        ]
    );
}

#[test]
fn a_capacity_that_cannot_be_is_answered_with_what_to_write() {
    for (flag, words) in [
        ("--store-bytes-max=1000", ["store_bytes_max", "8388608"]),
        ("--memory-bytes-max=1000", ["memory_bytes_max", "8388608"]),
        ("--full=stop", ["full", "write refuse, or trim"]),
    ] {
        let error = load(&[flag], &[], None).unwrap_err().to_string();
        assert!(words.iter().all(|word| error.contains(word)), "{error}");
    }
}

// Mutant: any check of `namespace` or `named` left out -> its line is no error.
#[test]
fn a_namespace_that_cannot_be_is_answered_with_what_to_write() {
    for (i, (text, words)) in [
        ("name = \"room\"", &["\"room\"", "reserved for the applications"][..]),
        ("name = \"user\"", &["\"user\"", "reserved"]),
        ("name = \"in\"", &["\"in\"", "reserved"]),
        ("name = \"auth\"", &["\"auth\"", "reserved"]),
        ("name = \"$mine\"", &["$mine", "belong to the server"]),
        ("name = \"News\"", &["News", "a to z"]),
        ("name = \"news:\"", &["news:", "without the colon"]),
        ("name = \"\"", &["a to z"]),
        ("name = \"a\"\nkind = \"signal\"\nlog = \"disk\"", &["\"a\"", "signal", "log = \"memory\""]),
        ("name = \"a\"\nkind = \"signal\"\nevents_max = 5", &["events_max", "leave it out"]),
        ("name = \"a\"\nread = \"token\"", &["read = \"token\"", "anyone or nobody"]),
        ("name = \"a\"\nevents_max = 0", &["events_max = 0", "1 to 10000000"]),
        ("name = \"a\"\nbytes_max = 1000", &["bytes_max = 1000", "1048576 to 1099511627776"]),
        ("name = \"a\"\nage_max_s = 59", &["age_max_s = 59", "60 to 3153600000"]),
        ("name = \"a\"\nkind = \"signal\"\nage_max_s = 0", &["age_max_s", "leave it out"]),
        ("name = \"a\"\nforget_after_s = 0", &["forget_after_s = 0", "60 to 31536000"]),
        ("name = \"a\"\nidempotency_keys_max = 100000001", &["idempotency_keys_max", "0 to 100000000"]),
        ("name = \"a\"\n[[namespace]]\nname = \"a\"", &["\"a\"", "twice"]),
        ("name = \"a\"\nreed = \"anyone\"", &["line 3", "namespace.reed", "did you mean namespace.read?"]),
    ]
    .iter()
    .enumerate()
    {
        let error =
            namespaces(&format!("bad-{i}"), &format!("[[namespace]]\n{text}\n")).unwrap_err().to_string();
        assert!(words.iter().all(|word| error.contains(word)), "{text}: {error}");
    }
    let file = File::new("demo-twice", "[[namespace]]\nname = \"demo\"\n");
    assert!(load(&[], &[], Some(&file)).is_ok());
    let error = load(&["--demo"], &[], Some(&file)).unwrap_err().to_string();
    assert!(error.contains("--demo"), "{error}");
}

#[tokio::test]
async fn an_address_in_use_is_named_with_its_option() {
    let taken = std::net::TcpListener::bind("127.0.0.1:0").unwrap();
    let addr = taken.local_addr().unwrap().to_string();
    for (flag, option) in [("--listen", "listen"), ("--tcp-listen", "tcp_listen")] {
        let other = if option == "listen" { "--tcp-listen=off" } else { "--listen=127.0.0.1:0" };
        let options = load(&[&format!("{flag}={addr}"), other], &[], None).unwrap();
        let error = start(options).await.unwrap_err();
        assert!(matches!(error, ServeError::Listen { .. }));
        let error = error.to_string();
        assert!(error.contains(&format!("{option} = {addr}")), "{error}");
    }
}
