//! Where a document is written to: as JSON that grows at its end and is given away in pieces, so that a bill of materials is
//! never in memory as a whole.

use std::{
    fmt::Display,
    io::{self, Write},
};

use serde::{Serialize, ser::Error as _};

use crate::error::{Code, Error, Result};

/// Takes a document in pieces, in order.
pub(crate) type Take<'t> = dyn FnMut(&[u8]) -> Result<()> + 't;

/// How long pieces are, in bytes: short enough to be still near the processor when they are hashed.
const PIECE_BYTES: usize = 64 << 10;

/// A document that is being written.
pub(super) struct Paper<'t> {
    /// What was not given away yet.
    bytes: Vec<u8>,
    take: &'t mut Take<'t>,
    failed: Option<Error>,
    /// Whether the list that is open has an element.
    is_listed: bool,
}

impl<'t> Paper<'t> {
    pub(super) fn new(take: &'t mut Take<'t>) -> Self {
        Self {
            bytes: Vec::with_capacity(2 * PIECE_BYTES),
            take,
            failed: None,
            is_listed: false,
        }
    }

    /// Begins an object with the fields of `value`, of which there are some, and a list behind them.
    pub(super) fn open(&mut self, value: &impl Serialize, list: &str) -> serde_json::Result<()> {
        let mut json = serde_json::to_vec(value)?;
        json.pop();
        self.raw(&json)?;
        self.raw(b",")?;
        self.begin(list)
    }

    /// The same for an object that is an element of the list that is open.
    pub(super) fn open_element(
        &mut self,
        value: &impl Serialize,
        list: &str,
    ) -> serde_json::Result<()> {
        self.next()?;
        self.open(value, list)
    }

    /// Ends a list, and begins another one behind it.
    pub(super) fn another(&mut self, list: &str) -> serde_json::Result<()> {
        self.raw(b"],")?;
        self.begin(list)
    }

    /// Ends a list, and the object that it is in.
    pub(super) fn close(&mut self) -> serde_json::Result<()> {
        self.is_listed = true;
        self.raw(b"]}")
    }

    /// Adds an element.
    pub(super) fn element(&mut self, value: &impl Serialize) -> serde_json::Result<()> {
        self.next()?;
        serde_json::to_writer(self, value)
    }

    /// Adds elements.
    pub(super) fn elements<T: Serialize>(
        &mut self,
        values: impl IntoIterator<Item = T>,
    ) -> serde_json::Result<()> {
        let mut values = values.into_iter();
        values.try_for_each(|value| self.element(&value))
    }

    /// Adds an element that has this form, with these texts in it, which nothing of has to be escaped.
    pub(super) fn filled<const N: usize>(
        &mut self,
        form: &Form<N>,
        texts: [&dyn Display; N],
    ) -> serde_json::Result<()> {
        self.next()?;
        for (before, text) in form.before.iter().zip(texts) {
            self.raw(before.as_bytes())?;
            write!(self, "{text}").map_err(serde_json::Error::io)?;
        }
        self.raw(form.end.as_bytes())
    }

    /// Gives away what is left of a document that was `written`. Of what went wrong, whoever took it knows most.
    pub(super) fn end(mut self, written: serde_json::Result<()>) -> Result<()> {
        let written = written.map_err(io::Error::from);
        let given = written.and_then(|()| self.give());
        match (self.failed, given) {
            (Some(e), _) => Err(e),
            (None, Err(e)) => Err(Error::new(Code::Io, "the bill of materials", e.to_string())),
            (None, Ok(())) => Ok(()),
        }
    }

    fn begin(&mut self, list: &str) -> serde_json::Result<()> {
        self.is_listed = false;
        serde_json::to_writer(&mut *self, list)?;
        self.raw(b":[")
    }

    fn next(&mut self) -> serde_json::Result<()> {
        if std::mem::replace(&mut self.is_listed, true) {
            self.raw(b",")?;
        }
        Ok(())
    }

    fn raw(&mut self, json: &[u8]) -> serde_json::Result<()> {
        self.write_all(json).map_err(serde_json::Error::io)
    }

    fn give(&mut self) -> io::Result<()> {
        if let Err(e) = (self.take)(&self.bytes) {
            self.failed = Some(e);
            return Err(io::Error::other("nobody takes it"));
        }
        self.bytes.clear();
        Ok(())
    }
}

impl Write for Paper<'_> {
    fn write(&mut self, bytes: &[u8]) -> io::Result<usize> {
        self.bytes.extend_from_slice(bytes);
        if self.bytes.len() >= PIECE_BYTES {
            self.give()?;
        }
        Ok(bytes.len())
    }

    fn flush(&mut self) -> io::Result<()> {
        Ok(())
    }
}

/// JSON that is the same for many elements but for some texts: a release may have a million files, and of each of them a
/// document says the same.
pub(super) struct Form<const N: usize> {
    /// What comes before each text.
    before: [String; N],
    end: String,
}

impl<const N: usize> Form<N> {
    /// The form of what is like `sample`, whose JSON has each of these texts in it, once and in this order.
    pub(super) fn of(sample: &impl Serialize, texts: [&str; N]) -> serde_json::Result<Self> {
        let json = serde_json::to_string(sample)?;
        let mut rest = json.as_str();
        let mut before = [const { String::new() }; N];
        for (before, text) in before.iter_mut().zip(texts) {
            let lacks = || serde_json::Error::custom(format!("{json} lacks {text}"));
            let (start, end) = rest.split_once(text).ok_or_else(lacks)?;
            start.clone_into(before);
            rest = end;
        }
        Ok(Self {
            before,
            end: rest.to_owned(),
        })
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use serde_json::json;

    /// What is written to a paper, and how long the pieces are.
    fn written(write: impl Fn(&mut Paper<'_>) -> serde_json::Result<()>) -> (String, Vec<usize>) {
        let (mut text, mut pieces) = (Vec::new(), Vec::new());
        let mut take = |piece: &[u8]| {
            text.extend_from_slice(piece);
            pieces.push(piece.len());
            Ok(())
        };
        let mut paper = Paper::new(&mut take);
        let result = write(&mut paper);
        paper.end(result).unwrap();
        (String::from_utf8(text).unwrap(), pieces)
    }

    #[test]
    fn lists_in_objects_in_lists() {
        let (text, _) = written(|paper| {
            paper.open(&json!({"a": 1}), "outer")?;
            paper.element(&1)?;
            paper.open_element(&json!({"b": "\""}), "inner")?;
            paper.close()?;
            paper.open_element(&json!({"c": 3}), "inner")?;
            paper.elements([1, 2])?;
            paper.close()?;
            paper.another("next")?;
            paper.filled(&Form::of(&json!(["<>", 7]), ["<>"])?, [&"text"])?;
            paper.close()
        });
        let expected = r#"{"a":1,"outer":[1,{"b":"\"","inner":[]},{"c":3,"inner":[1,2]}],"next":[["text",7]]}"#;
        assert_eq!(text, expected);
    }

    #[test]
    fn a_long_document_comes_in_short_pieces() {
        let (text, pieces) = written(|paper| {
            paper.open(&json!({"a": 1}), "numbers")?;
            paper.elements(0..100_000)?;
            paper.close()
        });
        assert!(text.ends_with(",99999]}"));
        assert!(pieces.len() > 5);
        assert!(pieces.iter().all(|length| *length < PIECE_BYTES + 100));
    }

    #[test]
    fn an_error_of_whoever_takes_it_is_told() {
        let mut take = |_: &[u8]| Err(Error::new(Code::Io, "the disk", "is full"));
        let mut paper = Paper::new(&mut take);
        let result = paper.elements(0..100_000);
        assert!(
            paper
                .end(result)
                .unwrap_err()
                .to_string()
                .contains("is full")
        );
    }

    #[test]
    fn a_form_needs_all_of_its_texts() {
        let form = Form::of(&json!({"b": "x", "a": "y"}), ["y", "x"]).unwrap();
        assert_eq!(form.before, [r#"{"a":""#, r#"","b":""#]);
        assert!(Form::of(&json!({"a": "x"}), ["x", "x"]).is_err());
    }
}
