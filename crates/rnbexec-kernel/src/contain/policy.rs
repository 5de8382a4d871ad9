//! What is closed: pure, parsed once.

use std::fmt;
use std::num::NonZeroU32;
use std::path::PathBuf;
use std::str::FromStr;
use std::time::Duration;

/// What is closed to a kernel and all it starts. The default closes nothing.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Containment {
    /// The network: every address family but Unix sockets with a path; a loopback device of its own remains.
    pub network: Part,
    /// Files that may be read and written.
    pub files: Files,
    /// Folders that can be written all the same where [`Containment::files`] are closed, with all that is in them.
    pub work_folders: Vec<PathBuf>,
    /// Files and folders of a hidden home ([`Files::HomeHidden`]) that can be read all the same.
    pub readable: Vec<PathBuf>,
    /// Signals to processes outside, tracing them, and their abstract Unix sockets.
    pub processes: Part,
    /// Which inherited variables the kernel gets.
    pub variables: Variables,
    /// How much it may use.
    pub limits: Limits,
}

/// One part of the world.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub enum Part {
    /// As it is.
    #[default]
    Open,
    /// Out of reach.
    Closed,
}

/// Which files a kernel may read and write.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub enum Files {
    /// As the user may.
    #[default]
    Open,
    /// It reads what the user may, and writes nothing but the work folders and a temporary folder that is gone after it.
    ReadOnly,
    /// Moreover it cannot read the user's home folder, save its working directory and what belongs to the kernel.
    HomeHidden,
}

/// Which of the inherited variables a kernel gets. Those of its kernelspec and those set for it come in any case.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub enum Variables {
    /// All.
    #[default]
    All,
    /// The harmless ones that programs need to work (`PATH`, `LANG`, `TZ`, …), and these.
    Only(Vec<String>),
}

/// How much a kernel may use. `None` is without a limit of ours.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Limits {
    /// Memory of the kernel and all it starts, together.
    pub memory: Option<MemoryLimit>,
    /// CPU time of the kernel's process, and of each process that it starts, separately. At least a second.
    pub cpu: Option<Duration>,
    /// Processes and threads at a time, together.
    pub processes: Option<NonZeroU32>,
}

/// Presets from open to closed.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub enum Level {
    /// Nothing is closed.
    #[default]
    None,
    /// No network.
    Network,
    /// Files are read only, and processes outside are out of reach.
    Files,
    /// Both, the home folder cannot be read, and variables are reduced to the harmless ones.
    Strict,
}

impl Level {
    /// Every level, from open to closed.
    pub const ALL: [Self; 4] = [Self::None, Self::Network, Self::Files, Self::Strict];

    /// Its name.
    pub const fn name(self) -> &'static str {
        match self {
            Self::None => "none",
            Self::Network => "network",
            Self::Files => "files",
            Self::Strict => "strict",
        }
    }
}

impl From<Level> for Containment {
    fn from(level: Level) -> Self {
        let open = Self::default();
        match level {
            Level::None => open,
            Level::Network => Self { network: Part::Closed, ..open },
            Level::Files => Self { files: Files::ReadOnly, processes: Part::Closed, ..open },
            Level::Strict => Self {
                network: Part::Closed,
                files: Files::HomeHidden,
                processes: Part::Closed,
                variables: Variables::Only(Vec::new()),
                ..open
            },
        }
    }
}

impl Containment {
    /// Whether nothing is closed and nothing limited: a kernel is then started as ever.
    pub fn is_open(&self) -> bool {
        let Self { network, files, work_folders: _, readable: _, processes, variables, limits } = self;
        *network == Part::Open
            && *files == Files::Open
            && *processes == Part::Open
            && *variables == Variables::All
            && *limits == Limits::default()
    }

    /// Closes the network besides.
    pub fn close_network(&mut self) {
        self.network = Part::Closed;
    }

    /// Closes what [`Level::Files`] closes, besides.
    pub fn close_files(&mut self) {
        self.processes = Part::Closed;
        if self.files == Files::Open {
            self.files = Files::ReadOnly;
        }
    }
}

/// What is closed and limited, for people: `network closed, files read only, memory 2 GiB`.
impl fmt::Display for Containment {
    fn fmt(&self, out: &mut fmt::Formatter<'_>) -> fmt::Result {
        let Self { network, files, work_folders: _, readable: _, processes, variables, limits } = self;
        let mut parts = Vec::new();
        let mut closed = |part: &Part, name: &str| {
            if *part == Part::Closed {
                parts.push(format!("{name} closed"));
            }
        };
        closed(network, "network");
        closed(processes, "other processes");
        parts.extend(match files {
            Files::Open => None,
            Files::ReadOnly => Some("files read only".to_owned()),
            Files::HomeHidden => Some("files read only, home folder hidden".to_owned()),
        });
        parts.extend(match variables {
            Variables::All => None,
            Variables::Only(names) if names.is_empty() => Some("variables left out".to_owned()),
            Variables::Only(names) => Some(format!("variables left out but {}", names.join(", "))),
        });
        parts.extend(limits.memory.map(|limit| format!("memory {limit}")));
        parts.extend(limits.cpu.map(|limit| format!("CPU time {} s", limit.as_secs())));
        parts.extend(limits.processes.map(|limit| format!("{limit} processes")));
        out.write_str(&if parts.is_empty() { "nothing closed".to_owned() } else { parts.join(", ") })
    }
}

/// An amount of memory, at least a mebibyte: `2GiB`, `512MiB`, `1.5G` (units are binary), or bytes.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub struct MemoryLimit(u64);

/// A text that is no amount of memory.
#[derive(Clone, Copy, Debug, PartialEq, Eq, thiserror::Error)]
#[error("expected an amount of memory of at least 1MiB, such as 512MiB or 2GiB")]
pub struct NotAMemoryLimit;

impl MemoryLimit {
    const LEAST: u64 = 1 << 20;

    /// So many bytes; `None` below a mebibyte.
    pub fn of_bytes(bytes: u64) -> Option<Self> {
        (bytes >= Self::LEAST).then_some(Self(bytes))
    }

    /// In bytes.
    pub fn bytes(self) -> u64 {
        self.0
    }
}

impl FromStr for MemoryLimit {
    type Err = NotAMemoryLimit;

    fn from_str(text: &str) -> Result<Self, NotAMemoryLimit> {
        let text = text.trim();
        let digits = text.find(|c: char| !c.is_ascii_digit() && c != '.').unwrap_or(text.len());
        let (number, unit) = text.split_at(digits);
        let factor: u32 = match unit.trim_start().to_ascii_lowercase().as_str() {
            "" | "b" => 0,
            "k" | "kib" | "kb" => 10,
            "m" | "mib" | "mb" => 20,
            "g" | "gib" | "gb" => 30,
            "t" | "tib" | "tb" => 40,
            _ => return Err(NotAMemoryLimit),
        };
        let (whole, part) = number.split_once('.').unwrap_or((number, ""));
        let whole: u64 = whole.parse().map_err(|_| NotAMemoryLimit)?;
        let mut bytes = whole.checked_mul(1 << factor).ok_or(NotAMemoryLimit)?;
        if !part.is_empty() {
            // Six digits are finer than a page of any amount that counts.
            let six: String = part.chars().chain(std::iter::repeat('0')).take(6).collect();
            let millionths: u64 = six.parse().map_err(|_| NotAMemoryLimit)?;
            let more = u128::from(millionths) * (1_u128 << factor) / 1_000_000;
            bytes = bytes
                .checked_add(u64::try_from(more).map_err(|_| NotAMemoryLimit)?)
                .ok_or(NotAMemoryLimit)?;
        }
        Self::of_bytes(bytes).ok_or(NotAMemoryLimit)
    }
}

/// In the largest unit that needs at most two decimals.
impl fmt::Display for MemoryLimit {
    fn fmt(&self, out: &mut fmt::Formatter<'_>) -> fmt::Result {
        for (shift, unit) in [(40, "TiB"), (30, "GiB"), (20, "MiB"), (10, "KiB")] {
            let hundredths = u128::from(self.0) * 100;
            if self.0 >> shift > 0 && hundredths % (1 << shift) == 0 {
                let (whole, part) = ((hundredths >> shift) / 100, (hundredths >> shift) % 100);
                let decimals = if part == 0 { String::new() } else { format!(".{part:02}") };
                return write!(out, "{whole}{} {unit}", decimals.trim_end_matches('0'));
            }
        }
        write!(out, "{} bytes", self.0)
    }
}

/// What is active in a running kernel, and by which mechanism. `None` is not closed and not limited.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Isolation {
    /// What closes the network.
    pub network: Option<Mechanism>,
    /// What makes files read only.
    pub files: Option<Mechanism>,
    /// The folders that can be written all the same.
    pub work_folders: Vec<PathBuf>,
    /// What hides the home folder.
    pub home: Option<Mechanism>,
    /// What keeps it from processes outside.
    pub processes: Option<Mechanism>,
    /// Whether inherited variables were left out.
    pub variables: Option<Mechanism>,
    /// The memory limit.
    pub memory: Option<(MemoryLimit, Mechanism)>,
    /// The CPU time limit of each process.
    pub cpu: Option<(Duration, Mechanism)>,
    /// The limit of processes and threads.
    pub process_count: Option<(NonZeroU32, Mechanism)>,
}

/// What enforces something, for people: `landlock (ABI 7)`.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Mechanism(pub(crate) String);

impl fmt::Display for Mechanism {
    fn fmt(&self, out: &mut fmt::Formatter<'_>) -> fmt::Result {
        out.write_str(&self.0)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn amounts_of_memory_are_read_and_told() {
        for (text, bytes, told) in [
            ("2GiB", 2 << 30, "2 GiB"),
            ("512MiB", 512 << 20, "512 MiB"),
            ("1.5G", 3 << 29, "1.5 GiB"),
            ("300m", 300 << 20, "300 MiB"),
            ("1048576", 1 << 20, "1 MiB"),
            ("2000000 kb", 2_000_000 << 10, "2000000 KiB"),
            ("1048577", 1_048_577, "1048577 bytes"),
        ] {
            let limit: MemoryLimit = text.parse().unwrap();
            assert_eq!((limit.bytes(), limit.to_string().as_str()), (bytes, told), "{text}");
        }
    }

    #[test]
    fn what_is_no_amount_of_memory_is_refused() {
        for text in
            ["", "G", "1", "1KiB", "-2GiB", "2 GiB!", "1.2.3G", "99999999999TiB", "2²", ".5G", "1._5G"]
        {
            assert_eq!(text.parse::<MemoryLimit>(), Err(NotAMemoryLimit), "{text:?}");
        }
    }

    #[test]
    fn what_is_closed_is_told_in_words() {
        assert_eq!(Containment::default().to_string(), "nothing closed");
        let mut some =
            Containment { variables: Variables::Only(vec!["TOKEN".to_owned()]), ..Level::Network.into() };
        some.close_files();
        some.limits = Limits {
            memory: "2GiB".parse().ok(),
            cpu: Some(Duration::from_mins(1)),
            processes: NonZeroU32::new(50),
        };
        assert_eq!(
            some.to_string(),
            "network closed, other processes closed, files read only, variables left out but TOKEN, memory 2 GiB, \
             CPU time 60 s, 50 processes"
        );
    }

    #[test]
    fn closing_opens_nothing() {
        for level in Level::ALL {
            let mut all = Containment::from(level);
            all.close_network();
            all.close_files();
            let files = if level == Level::Strict { Files::HomeHidden } else { Files::ReadOnly };
            assert_eq!((all.network, all.files, all.processes), (Part::Closed, files, Part::Closed));
        }
    }

    #[test]
    fn levels_close_ever_more_and_none_closes_nothing() {
        assert!(Containment::from(Level::None).is_open());
        for level in [Level::Network, Level::Files, Level::Strict] {
            assert!(!Containment::from(level).is_open(), "{level:?}");
        }
        let limited = Limits { processes: NonZeroU32::new(5), ..Limits::default() };
        assert!(!Containment { limits: limited, ..Containment::default() }.is_open());
    }
}
