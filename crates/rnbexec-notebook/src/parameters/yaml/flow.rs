//! What PyYAML allows and the parser does not: the lines of a flow collection or a quoted string may start
//! further left than the block around them.
//!
//! ```yaml
//! hosts: [
//!   a,
//! ]
//! ```
//!
//! White space at the start of such lines means nothing, so they can be indented. To find them this module
//! knows just enough of YAML's tokens. It is asked only about texts that the parser refuses, so that it cannot
//! change the meaning of any that it accepts.

/// The text with every line indented that starts within a flow collection or a quoted string.
pub(super) fn indent_lines(text: &str) -> String {
    let lead = |line: &str| line.len() - line.trim_start_matches([' ', '-', '?']).len();
    let pad = " ".repeat(text.lines().map(lead).max().unwrap_or(0) + 1);
    let mut scanner = Scanner { within: Within::Block, depth: 0, plain: false, parent: -1, skip: None };
    let mut out = String::with_capacity(text.len() + text.len() / 8);
    for line in text.split_inclusive('\n') {
        if !matches!(scanner.within, Within::Block) && !line.trim().is_empty() {
            out.push_str(&pad);
        }
        out.push_str(line);
        scanner.line(line);
    }
    out
}

#[derive(Clone, Copy)]
enum Within {
    Block,
    Flow,
    Quoted(char),
}

struct Scanner {
    within: Within,
    /// Of flow collections.
    depth: usize,
    /// Within a plain scalar of a flow collection.
    plain: bool,
    /// The column of the block entry that the current value belongs to.
    parent: isize,
    /// Lines further right than this belong to a scalar that has begun.
    skip: Option<isize>,
}

impl Scanner {
    fn line(&mut self, line: &str) {
        let line: Vec<char> = line.trim_end_matches(['\n', '\r']).chars().collect();
        let indent = line.iter().take_while(|&&c| c == ' ').count();
        let mut at = 0;
        if matches!(self.within, Within::Block) {
            if let Some(parent) = self.skip {
                if indent == line.len() || column(indent) > parent {
                    return;
                }
                self.skip = None;
            }
            if line.starts_with(&['%']) {
                return;
            }
            self.parent = -1;
            at = indent;
            if line.starts_with(&['-', '-', '-']) && ends_token(line.get(3)) {
                at = 3;
            }
        }
        // Where the last quoted string began: it may turn out to be a key.
        let mut key = at;
        while at < line.len() {
            at = match self.within {
                Within::Quoted(quote) => self.quoted(quote, &line, at),
                Within::Flow => self.flow(&line, at),
                Within::Block => {
                    if !matches!(line[at], ':' | ' ' | '\t') {
                        key = at;
                    }
                    match self.block(&line, at, key) {
                        Some(next) => next,
                        None => return,
                    }
                }
            };
        }
    }

    fn quoted(&mut self, quote: char, line: &[char], at: usize) -> usize {
        match line[at] {
            '\\' if quote == '"' => at + 2,
            c if c == quote && quote == '\'' && line.get(at + 1) == Some(&quote) => at + 2,
            c => {
                if c == quote {
                    self.within = if self.depth > 0 { Within::Flow } else { Within::Block };
                }
                at + 1
            }
        }
    }

    fn flow(&mut self, line: &[char], at: usize) -> usize {
        let c = line[at];
        let after_space = at == 0 || line[at - 1].is_whitespace();
        match c {
            '#' if after_space => return line.len(),
            '[' | '{' => {
                self.depth += 1;
                self.plain = false;
            }
            ']' | '}' => {
                self.depth -= 1;
                self.plain = false;
                if self.depth == 0 {
                    self.within = Within::Block;
                }
            }
            ',' => self.plain = false,
            ':' if ends_token(line.get(at + 1)) => self.plain = false,
            '"' | '\'' if !self.plain => self.within = Within::Quoted(c),
            ' ' | '\t' => {}
            // Anchors and tags end at the next space.
            '&' | '*' | '!' if !self.plain => {
                return at
                    + line[at..].iter().take_while(|c| !matches!(c, ' ' | ',' | ']' | '}')).count().max(1);
            }
            _ => self.plain = true,
        }
        at + 1
    }

    /// The next place to look at in this line; nothing when the rest of it is of no interest.
    fn block(&mut self, line: &[char], at: usize, key: usize) -> Option<usize> {
        let entry = ends_token(line.get(at + 1));
        match line[at] {
            '#' => return None,
            ' ' | '\t' => {}
            ':' if entry => self.parent = column(key),
            '-' | '?' if entry => self.parent = column(at),
            '[' | '{' => {
                self.within = Within::Flow;
                self.depth = 1;
                self.plain = false;
            }
            quote @ ('"' | '\'') => self.within = Within::Quoted(quote),
            '|' | '>' => {
                self.skip = Some(self.parent);
                return None;
            }
            '&' | '*' | '!' => return Some(at + line[at..].iter().take_while(|&&c| c != ' ').count()),
            _ => {
                let rest = &line[at..];
                let colon = (0..rest.len()).find(|&i| rest[i] == ':' && ends_token(rest.get(i + 1)));
                let comment = (1..rest.len()).find(|&i| rest[i] == '#' && rest[i - 1].is_whitespace());
                let Some(colon) = colon.filter(|&colon| comment.is_none_or(|comment| colon < comment)) else {
                    self.skip = Some(self.parent);
                    return None;
                };
                self.parent = column(at);
                return Some(at + colon + 1);
            }
        }
        Some(at + 1)
    }
}

fn ends_token(next: Option<&char>) -> bool {
    next.is_none_or(|c| c.is_whitespace())
}

fn column(at: usize) -> isize {
    isize::try_from(at).unwrap_or(isize::MAX)
}
