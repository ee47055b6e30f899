//! What a delivery costs in instructions, counted by callgrind and held against the recorded figures. Counts do not depend on
//! how busy the machine is, so they can be compared where times cannot.
#![allow(clippy::unwrap_used)]

use std::{
    collections::BTreeMap,
    env, fmt, fs,
    path::{Path, PathBuf},
    process::Command,
    thread,
};

use sosik_tests::{scratch::Scratch, sosik, workspace};

// Mutant: `frame_of` that copies the bytes of each event -> those who are behind, and those with both logs, take too much.
#[test]
fn a_delivery_takes_no_more_instructions_than_recorded() {
    let counted = count_all();
    let page = workspace::root().join(RECORDED);
    if env::var_os("SOSIK_COUNTS").is_some_and(|what| what == "record") {
        fs::write(&page, counted.to_string()).unwrap();
    }
    let recorded = Counts::read(&fs::read_to_string(&page).unwrap());
    let wrong = moved(&recorded, &counted);
    assert!(
        wrong.is_empty(),
        "\n{}\nwhat is meant to be so is recorded with `make counts`, and committed with its reason\n",
        wrong.join("\n")
    );
}

// Mutants: a fall let through, and a figure without a record.
#[test]
fn a_rise_a_fall_and_what_is_not_recorded_are_told() {
    let counts = |text: &str| Counts::read(text);
    let recorded = counts("[a]\none = 1000\ntwo = 1000\n[b]\none = 1000");
    let same = counts("[a]\none = 1199\ntwo = 801\n[b]\none = 1000");
    assert_eq!(moved(&recorded, &same), Vec::<String>::new());
    assert_eq!(moved(&recorded, &counts("[a]\none = 1200\ntwo = 800\n[c]\none = 1")).len(), 4);
    assert_eq!(counts(&recorded.to_string()), recorded);
}

/// Instructions per delivery, by form and case.
#[derive(Debug, Default, PartialEq)]
struct Counts(BTreeMap<String, BTreeMap<String, u64>>);

impl Counts {
    fn read(page: &str) -> Self {
        Self(toml::from_str(page).unwrap())
    }

    fn all(&self) -> impl Iterator<Item = (&str, &str, u64)> {
        self.0.iter().flat_map(|(form, cases)| {
            cases.iter().map(move |(case, count)| (form.as_str(), case.as_str(), *count))
        })
    }

    fn of(&self, form: &str, case: &str) -> Option<u64> {
        self.0.get(form)?.get(case).copied()
    }
}

impl fmt::Display for Counts {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(HEAD)?;
        for (form, cases) in &self.0 {
            write!(f, "\n[{form}]\n")?;
            cases.iter().try_for_each(|(case, count)| writeln!(f, "{case} = {count}"))?;
        }
        Ok(())
    }
}

/// What is a fifth more or less than recorded, or stands on one side alone. A fall counts too: while the old figure stands,
/// all of it could come back unnoticed.
fn moved(recorded: &Counts, counted: &Counts) -> Vec<String> {
    let mut wrong = Vec::new();
    for (form, case, now) in counted.all() {
        match recorded.of(form, case) {
            None => {
                wrong.push(format!("{form} {case}: {now} instructions per delivery, and nothing recorded"))
            }
            Some(then) if now * 5 >= then * 6 || now * 5 <= then * 4 => {
                wrong.push(format!("{form} {case}: {now} instructions per delivery, recorded {then}"));
            }
            Some(_) => {}
        }
    }
    let gone = recorded.all().filter(|(form, case, _)| counted.of(form, case).is_none());
    wrong.extend(gone.map(|(form, case, _)| format!("{form} {case}: recorded, and not counted any more")));
    wrong
}

fn count_all() -> Counts {
    let program = program();
    let listed = Command::new(&program).output().unwrap();
    let listed = String::from_utf8(listed.stdout).unwrap();
    let all: Vec<(&str, &str)> = listed.lines().map(|line| line.split_once(' ').unwrap()).collect();
    assert!(all.len() > 10, "{listed}");
    let scratch = Scratch::new().unwrap();
    let halves: Vec<&[(&str, &str)]> = all.chunks(all.len().div_ceil(AT_A_TIME)).collect();
    let count = |&(form, case): &(&str, &str)| {
        let few = callgrind(&program, scratch.path(), [form, case], ROUNDS);
        let more = callgrind(&program, scratch.path(), [form, case], 2 * ROUNDS);
        let between = (more.instructions - few.instructions) / (more.deliveries - few.deliveries);
        (form.to_owned(), case.to_owned(), between)
    };
    let mut counts = Counts::default();
    thread::scope(|scope| {
        let threads: Vec<_> = halves
            .into_iter()
            .map(|half| scope.spawn(move || half.iter().map(count).collect::<Vec<_>>()))
            .collect();
        for (form, case, between) in threads.into_iter().flat_map(|thread| thread.join().unwrap()) {
            counts.0.entry(form).or_default().insert(case, between);
        }
    });
    counts
}

/// What one run came to.
struct Run {
    instructions: u64,
    deliveries: u64,
}

fn callgrind(program: &Path, scratch: &Path, [form, case]: [&str; 2], rounds: u64) -> Run {
    let out = scratch.join(format!("{form}-{case}-{rounds}"));
    let ran = Command::new("valgrind")
        .args(["--quiet", "--tool=callgrind", "--collect-atstart=no", "--toggle-collect=*counted*"])
        .arg(format!("--callgrind-out-file={}", out.display()))
        .arg(program)
        .args([form, case, &rounds.to_string()])
        .output()
        .expect("valgrind is there (`make tools` installs it)");
    let [said, complained] =
        [ran.stdout, ran.stderr].map(|bytes| String::from_utf8_lossy(&bytes).into_owned());
    assert!(ran.status.success(), "{said}{complained}");
    let deliveries = said.split(' ').next().unwrap().parse().unwrap();
    let page = fs::read_to_string(&out).unwrap();
    let totals = page.lines().find_map(|line| line.strip_prefix("totals: ")).unwrap();
    Run { instructions: totals.trim().parse().unwrap(), deliveries }
}

/// The program of a release build: what is counted is the code that is shipped.
fn program() -> PathBuf {
    let path = workspace::root().join("target/release/sosik-pump-bench");
    sosik::refuse_old(&path, MADE_OF, "cargo build --release -p sosik-pump-bench (`make test` does)");
    path
}

const RECORDED: &str = "benches/pump/instructions.toml";
const HEAD: &str = "\
# Instructions per delivery of a release build, counted by callgrind: the pump on 1,000 readers with peers in memory.
# Nothing of the kernel, of tasks, locks of feeds or sweeps is in it. `make counts` writes this file; `make test` fails
# where a figure has moved by a fifth.
";
const MADE_OF: &[&str] =
    &["crates/core/src", "crates/wire/src", "crates/store/src", "crates/transport/src", "benches/pump/src"];
/// Of the shorter of two runs.
const ROUNDS: u64 = 2;
/// Runs side by side.
const AT_A_TIME: usize = 2;
