//! A point in time as fields, and `strftime` of it. Where the time comes from is the caller's business.

use std::fmt;

/// A date and time of day as Python's `datetime` holds it, in the proleptic Gregorian calendar.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct DateTime {
    /// 1 to 9999.
    pub year: u16,
    /// 1 to 12.
    pub month: u8,
    /// 1 to 31.
    pub day: u8,
    /// 0 to 23.
    pub hour: u8,
    /// 0 to 59.
    pub minute: u8,
    /// 0 to 59.
    pub second: u8,
    /// 0 to 999999.
    pub microsecond: u32,
    /// Seconds east of UTC; nothing for a local time that does not say.
    pub utc_offset: Option<i32>,
}

const DAYS: [&str; 7] = ["Sunday", "Monday", "Tuesday", "Wednesday", "Thursday", "Friday", "Saturday"];
const MONTHS: [&str; 12] = [
    "January",
    "February",
    "March",
    "April",
    "May",
    "June",
    "July",
    "August",
    "September",
    "October",
    "November",
    "December",
];

/// As Python's `str(datetime)`: `2026-11-21 20:40:08.184962+00:00`, without a fraction when it is zero.
impl fmt::Display for DateTime {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{:04}-{:02}-{:02} ", self.year, self.month, self.day)?;
        write!(f, "{:02}:{:02}:{:02}", self.hour, self.minute, self.second)?;
        if self.microsecond > 0 {
            write!(f, ".{:06}", self.microsecond)?;
        }
        f.write_str(&self.offset(":"))
    }
}

impl DateTime {
    fn offset(&self, colon: &str) -> String {
        let Some(offset) = self.utc_offset else { return String::new() };
        let sign = if offset < 0 { '-' } else { '+' };
        let seconds = offset.unsigned_abs();
        let minutes = format!("{sign}{:02}{colon}{:02}", seconds / 3600, seconds / 60 % 60);
        match seconds % 60 {
            0 => minutes,
            rest => format!("{minutes}{colon}{rest:02}"),
        }
    }

    /// Days before the first of this year's days, 0 to 365.
    fn day_of_year(&self) -> u32 {
        let leap =
            self.year.is_multiple_of(4) && (!self.year.is_multiple_of(100) || self.year.is_multiple_of(400));
        let before = [0, 31, 59, 90, 120, 151, 181, 212, 243, 273, 304, 334];
        let month = usize::from(self.month.clamp(1, 12)) - 1;
        before[month] + u32::from(self.day).saturating_sub(1) + u32::from(leap && month > 1)
    }

    /// 0 is Sunday.
    fn weekday(&self) -> u32 {
        let years = u32::from(self.year.max(1)) - 1;
        let days = years * 365 + years / 4 - years / 100 + years / 400 + self.day_of_year();
        // The first of January of the year 1 was a Monday.
        (days + 1) % 7
    }

    /// Year and week of ISO 8601.
    fn iso_week(&self) -> (u16, u32) {
        let monday_based = (self.weekday() + 6) % 7;
        let day = self.day_of_year();
        // The week belongs to the year of its Thursday.
        let thursday = i64::from(day) + 3 - i64::from(monday_based);
        let length = |year: u16| DateTime { year, month: 12, day: 31, ..*self }.day_of_year() + 1;
        let (year, day) = if thursday < 0 {
            let year = self.year.saturating_sub(1);
            (year, thursday + i64::from(length(year)))
        } else if thursday >= i64::from(length(self.year)) {
            (self.year + 1, thursday - i64::from(length(self.year)))
        } else {
            (self.year, thursday)
        };
        (year, u32::try_from(day / 7).unwrap_or(0) + 1)
    }

    /// Python's `strftime` in the C locale. A directive that is unknown stays as it is, as in the GNU C library.
    pub(super) fn strftime(&self, format: &str) -> String {
        let mut out = String::new();
        let mut characters = format.chars();
        while let Some(c) = characters.next() {
            if c != '%' {
                out.push(c);
                continue;
            }
            let rest = characters.as_str();
            // `%-d`: without padding.
            let (padded, directive) = match rest.strip_prefix('-') {
                Some(rest) => (false, rest.chars().next()),
                None => (true, rest.chars().next()),
            };
            match directive.and_then(|directive| self.directive(directive)) {
                Some(text) => {
                    out.push_str(if padded { &text } else { without_padding(&text) });
                    characters.nth(usize::from(!padded));
                }
                None => out.push('%'),
            }
        }
        out
    }

    fn directive(&self, directive: char) -> Option<String> {
        let hour12 = if self.hour.is_multiple_of(12) { 12 } else { self.hour % 12 };
        let day = DAYS[self.weekday() as usize % 7];
        let month = MONTHS[(usize::from(self.month.clamp(1, 12))) - 1];
        Some(match directive {
            '%' => "%".to_owned(),
            'n' => "\n".to_owned(),
            't' => "\t".to_owned(),
            'a' => day[..3].to_owned(),
            'A' => day.to_owned(),
            'b' | 'h' => month[..3].to_owned(),
            'B' => month.to_owned(),
            'c' => self.strftime("%a %b %e %H:%M:%S %Y"),
            'C' => format!("{:02}", self.year / 100),
            'd' => format!("{:02}", self.day),
            'D' | 'x' => self.strftime("%m/%d/%y"),
            'e' => format!("{:2}", self.day),
            'f' => format!("{:06}", self.microsecond),
            'F' => self.strftime("%Y-%m-%d"),
            'g' => format!("{:02}", self.iso_week().0 % 100),
            'G' => self.iso_week().0.to_string(),
            'H' => format!("{:02}", self.hour),
            'I' => format!("{hour12:02}"),
            'j' => format!("{:03}", self.day_of_year() + 1),
            'k' => format!("{:2}", self.hour),
            'l' => format!("{hour12:2}"),
            'm' => format!("{:02}", self.month),
            'M' => format!("{:02}", self.minute),
            'p' => if self.hour < 12 { "AM" } else { "PM" }.to_owned(),
            'P' => if self.hour < 12 { "am" } else { "pm" }.to_owned(),
            'r' => self.strftime("%I:%M:%S %p"),
            'R' => self.strftime("%H:%M"),
            'S' => format!("{:02}", self.second),
            'T' | 'X' => self.strftime("%H:%M:%S"),
            'u' => if self.weekday() == 0 { 7 } else { self.weekday() }.to_string(),
            'U' => format!("{:02}", (self.day_of_year() + 7 - self.weekday()) / 7),
            'V' => format!("{:02}", self.iso_week().1),
            'w' => self.weekday().to_string(),
            'W' => format!("{:02}", (self.day_of_year() + 7 - (self.weekday() + 6) % 7) / 7),
            'y' => format!("{:02}", self.year % 100),
            'Y' => self.year.to_string(),
            'z' => self.offset(""),
            'Z' => match self.utc_offset {
                None => String::new(),
                Some(0) => "UTC".to_owned(),
                Some(_) => format!("UTC{}", self.offset(":")),
            },
            _ => return None,
        })
    }

    /// `repr(datetime)`.
    pub(super) fn repr(&self) -> String {
        let mut fields = vec![
            u32::from(self.year),
            self.month.into(),
            self.day.into(),
            self.hour.into(),
            self.minute.into(),
        ];
        if self.second > 0 || self.microsecond > 0 {
            fields.push(self.second.into());
        }
        if self.microsecond > 0 {
            fields.push(self.microsecond);
        }
        let mut arguments: Vec<String> = fields.iter().map(u32::to_string).collect();
        match self.utc_offset {
            None => {}
            Some(0) => arguments.push("tzinfo=datetime.timezone.utc".to_owned()),
            Some(seconds) => {
                let (days, rest) = (seconds.div_euclid(86400), seconds.rem_euclid(86400));
                let days = if days == 0 { String::new() } else { format!("days={days}, ") };
                arguments.push(format!("tzinfo=datetime.timezone(datetime.timedelta({days}seconds={rest}))"));
            }
        }
        format!("datetime.datetime({})", arguments.join(", "))
    }
}

fn without_padding(text: &str) -> &str {
    let stripped = text.trim_start_matches(['0', ' ']);
    if stripped.starts_with(|c: char| c.is_ascii_digit()) || text.is_empty() {
        stripped
    } else {
        &text[text.len() - 1..]
    }
}
