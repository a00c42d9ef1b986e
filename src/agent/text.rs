//! The operator's words as tokens: full-width forms folded one to one, Latin words, Han characters, quotes, punctuation.

/// One token. `lower` is what comparisons use, `text` keeps the operator's case.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(super) struct Token {
    /// What kind of token.
    pub(super) kind: TokenKind,
    /// As written, full-width forms folded.
    pub(super) text: String,
    /// Lower case.
    pub(super) lower: String,
    /// Whether white space stands before it.
    pub(super) spaced: bool,
}

/// The kinds of token.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum TokenKind {
    /// Latin letters and digits with inner `-_./:@=+%` (names, numbers, versions, `KEY=VALUE`).
    Latin,
    /// One Han character.
    Han,
    /// What stood between quotes or back-ticks.
    Quoted,
    /// Anything else, one character.
    Punct,
}

/// Splits a message into tokens.
pub(super) fn tokens(text: &str) -> Vec<Token> {
    let raw: Vec<char> = text.chars().filter(|c| !is_invisible(fold(*c))).collect();
    let chars: Vec<char> = raw.iter().copied().map(fold).collect();
    let mut found: Vec<Token> = Vec::new();
    let (mut at, mut spaced) = (0, true);
    while at < chars.len() {
        let c = chars[at];
        if c.is_whitespace() && c != '\n' {
            spaced = true;
            at += 1;
            continue;
        }
        let (kind, end, inner) = match quoted(&chars, at) {
            Some(end) => (TokenKind::Quoted, end + 1, at + 1..end),
            None if c == '>' && begins_line(&chars, at) => {
                let end =
                    chars[at..].iter().position(|c| *c == '\n').map_or(chars.len(), |n| at + n);
                (TokenKind::Quoted, end, at + 1..end)
            }
            None if let Some(end) = url_end(&chars, at) => (TokenKind::Latin, end, at..end),
            None if let Some(end) = json_end(&raw, at) => (TokenKind::Quoted, end, at..end),
            None if is_word(c) || starts_signed_number(&chars, at) => {
                let mut end = word_end(&chars, at);
                // LEVELS to a,b: one value, where the comma is not a full-width one
                let lists = |end: usize| {
                    let next = raw.get(end + 1).is_some_and(char::is_ascii_alphabetic);
                    raw.get(end) == Some(&',') && next
                };
                while c.is_ascii_alphabetic() && lists(end) && found.iter().any(is_variable) {
                    end = word_end(&chars, end + 1);
                }
                (TokenKind::Latin, end, at..end)
            }
            None if is_han(c) => (TokenKind::Han, at + 1, at..at + 1),
            None => (TokenKind::Punct, at + 1, at..at + 1),
        };
        // what is quoted stays as it was written
        let source = if kind == TokenKind::Quoted { &raw } else { &chars };
        let text: String = source[inner].iter().collect();
        found.push(Token { kind, lower: text.to_lowercase(), text, spaced });
        at = end;
        spaced = false;
    }
    found
}

/// `LOG_LEVEL`, the name of an environment variable.
fn is_variable(token: &Token) -> bool {
    let inside = |c: char| c.is_ascii_uppercase() || c.is_ascii_digit() || c == '_';
    token.kind == TokenKind::Latin
        && token.text.len() >= 3
        && token.text.starts_with(|c: char| c.is_ascii_uppercase())
        && token.text.chars().all(inside)
}

/// Where a JSON list or object that begins here ends (RFC 8259); a long one is no value that anybody types.
fn json_end(chars: &[char], at: usize) -> Option<usize> {
    const LONGEST: usize = 500;
    if !matches!(chars.get(at)?, '[' | '{') {
        return None;
    }
    let most = chars.len().min(at + LONGEST);
    let mut ends = (at + 2..=most).filter(|end| matches!(chars[end - 1], ']' | '}')).take(16);
    ends.find(|end| {
        let text: String = chars[at..*end].iter().collect();
        serde_json::from_str::<serde_json::Value>(&text).is_ok()
    })
}

/// Whether nothing but white space stands before it in its line: `> quoted mail`.
fn begins_line(chars: &[char], at: usize) -> bool {
    chars[..at].iter().rev().take_while(|c| **c != '\n').all(|c| c.is_whitespace())
}

/// Where a URL that begins here ends: at white space, Han, a quote, or a mark with nothing of it behind (RFC 3986 has all others inside).
fn url_end(chars: &[char], at: usize) -> Option<usize> {
    let scheme = chars[at..].iter().take_while(|c| c.is_ascii_alphabetic()).count();
    let begins = scheme >= 2 && chars.get(at + scheme..at + scheme + 3)? == [':', '/', '/'];
    let inside = |c: &&char| {
        !c.is_whitespace() && !is_han(**c) && c.is_ascii() && !matches!(c, '"' | '`' | '<' | '>')
    };
    let rest = chars[at..].iter().take_while(inside).count();
    let trailing = chars[at..at + rest].iter().rev();
    let trailing = trailing
        .take_while(|c| matches!(c, '.' | ',' | ';' | '?' | '!' | ')' | '\'' | ':'))
        .count();
    begins.then_some(at + rest - trailing)
}

/// Whether a character is Han.
pub(super) fn is_han(c: char) -> bool {
    matches!(c, '\u{3007}' | '\u{3400}'..='\u{9fff}' | '\u{f900}'..='\u{faff}' | '\u{20000}'..='\u{3134f}')
}

/// Full-width forms and typographic marks to their ASCII twins, one to one.
fn fold(c: char) -> char {
    match c {
        '\u{ff01}'..='\u{ff5e}' => {
            char::from_u32(u32::from(c) - 0xfee0).expect("invariant: ASCII range")
        }
        '\u{3000}' | '\u{a0}' | '\t' | '\r' => ' ',
        '\u{2018}' | '\u{2019}' => '\'',
        '\u{2010}'..='\u{2015}' | '\u{2212}' => '-',
        '。' => '。',
        _ => c,
    }
}

fn is_invisible(c: char) -> bool {
    matches!(c, '\u{200b}'..='\u{200f}' | '\u{2060}'..='\u{2064}' | '\u{feff}' | '\u{202a}'..='\u{202e}')
        || (c.is_control() && c != '\n')
}

fn is_word(c: char) -> bool {
    c.is_alphanumeric() && !is_han(c)
}

/// `-1` and `+2`, where the sign is not part of a word before it.
fn starts_signed_number(chars: &[char], at: usize) -> bool {
    matches!(chars[at], '-' | '+')
        && chars.get(at + 1).is_some_and(char::is_ascii_digit)
        && (at == 0 || !is_word(chars[at - 1]))
}

fn word_end(chars: &[char], start: usize) -> usize {
    let mut end = start + 1;
    while end < chars.len() {
        let c = chars[end];
        let next_is_word = chars.get(end + 1).is_some_and(|n| is_word(*n) || *n == '_');
        let thousands = c == ','
            && chars[end - 1].is_ascii_digit()
            && chars.get(end + 1..end + 4).is_some_and(|d| d.iter().all(char::is_ascii_digit))
            && !chars.get(end + 4).is_some_and(char::is_ascii_digit);
        // KEY= and KEY=/path and KEY- are words too; so is n't
        let value = chars[start..end].contains(&'=') && !c.is_whitespace() && !is_han(c);
        let joins =
            matches!(c, '-' | '_' | '.' | '/' | ':' | '@' | '+' | '^' | '\'') && next_is_word;
        // KEY=["a","b"] is a name and what is quoted behind it
        if c == '=' && json_end(chars, end + 1).is_some() {
            return end + 1;
        }
        // KEY=https://host/path?query
        if c == '='
            && let Some(url) = url_end(chars, end + 1)
        {
            return url;
        }
        if is_word(c)
            || joins
            || thousands
            || c == '_'
            || c == '='
            || (value && (!is_clause_mark(c) || lists_on(&chars[end..])))
            || (c == '%' && chars[end - 1].is_ascii_digit())
        {
            end += 1;
        } else {
            break;
        }
    }
    end
}

/// `KEY=a,b`: a comma inside a value, unless another `KEY=` follows it.
fn lists_on(chars: &[char]) -> bool {
    let word: Vec<char> =
        chars[1..].iter().copied().take_while(|c| is_word(*c) || *c == '_').collect();
    chars[0] == ',' && !word.is_empty() && chars.get(1 + word.len()) != Some(&'=')
}

fn is_clause_mark(c: char) -> bool {
    matches!(c, ',' | ';' | '。' | '、' | '?' | '!' | '\n' | ')' | '"' | '\'' | '`' | '“' | '”')
}

/// The index of the closing quote when a quotation starts at `at`.
fn quoted(chars: &[char], at: usize) -> Option<usize> {
    let close = match chars[at] {
        '"' => '"',
        '`' => '`',
        '“' => '”',
        '「' => '」',
        '『' => '』',
        '《' => '》',
        '\'' if at == 0 || !is_word(chars[at - 1]) => '\'',
        _ => return None,
    };
    let end = chars[at + 1..].iter().position(|c| *c == close)? + at + 1;
    (end > at + 1).then_some(end)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn words_keep_their_inner_marks() {
        let cases: [(&str, &[&str]); 13] = [
            ("把ledger-api扩到５个", &["把", "ledger-api", "扩", "到", "5", "个"]),
            ("scale it to -1, now", &["scale", "it", "to", "-1", ",", "now"]),
            ("set A=http://x/y?z=1&q B=2", &["set", "A=http://x/y?z=1&q", "B=2"]),
            ("换成https://h/v3?l=zh。", &["换", "成", "https://h/v3?l=zh", "。"]),
            ("MODES 设成 ais,radar，好", &["MODES", "设", "成", "ais,radar", ",", "好"]),
            ("A=[\"b\", 1] c", &["A=", "[\"b\", 1]", "c"]),
            ("see\n> do it\nnow", &["see", "\n", " do it", "\n", "now"]),
            ("don't touch 1,000", &["don't", "touch", "1,000"]),
            ("image 'a b' ok", &["image", "a b", "ok"]),
            ("升级到v1.4.2。", &["升", "级", "到", "v1.4.2", "。"]),
            ("x@sha256:ab", &["x@sha256:ab"]),
            ("a\u{200b}b  c", &["ab", "c"]),
            ("LOG_LEVEL=debug，好", &["LOG_LEVEL=debug", ",", "好"]),
        ];
        for (text, expected) in cases {
            let found: Vec<String> = tokens(text).into_iter().map(|t| t.text).collect();
            assert_eq!(found, expected, "{text}");
        }
    }
}
