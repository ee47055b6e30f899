//! Open files: as many as the system allows, and no more connections than leave some for the log and for operators.

use rustix::process::{Resource, Rlimit, getrlimit, setrlimit};

use crate::limits::Limits;

/// Raises the process's limit of open files to what it may be raised to, and lowers `connections_max` to what fits. Says both
/// in the log.
pub(crate) fn make_room(limits: &mut Limits) {
    let Rlimit { current, maximum } = getrlimit(Resource::Nofile);
    let mut files = current;
    if current != maximum {
        match setrlimit(Resource::Nofile, Rlimit { current: maximum, maximum }) {
            Ok(()) => files = maximum,
            Err(error) => tracing::warn!(%error, "the limit of open files stays where it is"),
        }
    }
    let Some(files) = files else { return };
    tracing::info!(files, "open files that the system allows");
    let most = connections_within(files);
    if limits.connections_max > most {
        tracing::warn!(
            "connections_max is {most} and not {}: the system allows {files} open files, and some are left for the log and for \
             operators. Raise the limit (LimitNOFILE= of systemd, ulimit -Hn), or lower connections_max",
            limits.connections_max
        );
        limits.connections_max = most;
    }
}

/// How many connections fit into so many files: 5 % are left, and enough for the files of the log; of very few, half.
fn connections_within(files: u64) -> u32 {
    let left = (files / 20).max(FILES_LEFT.min(files / 2));
    u32::try_from(files - left).unwrap_or(u32::MAX).max(1)
}

/// The tables that the log keeps open (256 at most), its journals and locks, listeners, operators, and peers who hear that
/// there is no room (64).
const FILES_LEFT: u64 = 384;

#[cfg(test)]
mod tests {
    use super::*;

    // Mutants: no least number left -> the second; half of few left out -> the first is 1.
    #[test]
    fn some_files_are_always_left() {
        for (files, connections) in [
            (128, 64),
            (1_024, 640),
            (20_000, 19_000),
            (1_048_576, 996_148),
            (1, 1),
            (0, 1),
            (u64::MAX, u32::MAX),
        ] {
            assert_eq!(connections_within(files), connections, "{files}");
        }
    }
}
