//! Reading the log line by line, never more than one line in memory.

use std::{
    fs::File,
    io::{self, BufRead as _, BufReader, Read, Seek as _, SeekFrom},
};

use super::entry::LINE_BYTES;

/// The lines of a file, with their ends. The last one may have none.
pub struct Lines<R> {
    reader: BufReader<R>,
    bytes: Vec<u8>,
    /// How many lines were read.
    pub number: u64,
    /// How many bytes were read.
    pub offset: u64,
}

/// What was read.
#[derive(Debug, PartialEq, Eq)]
pub enum Found<'a> {
    /// A line with its end.
    Whole(&'a [u8]),
    /// Bytes at the end of the file that no line end follows.
    Torn(&'a [u8]),
    /// More than a line may have; nothing can be read after it.
    TooLong,
}

impl<R: Read> Lines<R> {
    /// From the beginning of `file`.
    pub fn new(file: R) -> Self {
        Self {
            reader: BufReader::with_capacity(64 << 10, file),
            bytes: Vec::new(),
            number: 0,
            offset: 0,
        }
    }

    /// The next line; nothing at the end.
    pub fn read(&mut self) -> io::Result<Option<Found<'_>>> {
        self.bytes.clear();
        let read = (&mut self.reader)
            .take(LINE_BYTES as u64 + 1)
            .read_until(b'\n', &mut self.bytes)?;
        if read == 0 {
            return Ok(None);
        }
        self.number += 1;
        self.offset += read as u64;
        Ok(Some(if read > LINE_BYTES {
            Found::TooLong
        } else if self.bytes.ends_with(b"\n") {
            Found::Whole(&self.bytes)
        } else {
            Found::Torn(&self.bytes)
        }))
    }
}

/// The end of a file of lines.
#[derive(Debug, PartialEq, Eq)]
pub(super) struct End {
    /// The last whole line, with its end; nothing if there is none.
    pub(super) last: Option<Vec<u8>>,
    /// What no line end follows.
    pub(super) torn: Vec<u8>,
    /// Length of the file without that.
    pub(super) whole: u64,
}

/// Reads the end of a file, without reading what is before it. An error of the kind `InvalidData` if a line
/// there is longer than one may be.
pub(super) fn end(file: &mut File) -> io::Result<End> {
    let length = file.seek(SeekFrom::End(0))?;
    // The longest line and the longest torn one.
    let window = length.min(2 * LINE_BYTES as u64);
    file.seek(SeekFrom::Start(length - window))?;
    let mut bytes = Vec::new();
    file.take(window).read_to_end(&mut bytes)?;
    let too_long = || io::Error::new(io::ErrorKind::InvalidData, "has a line that is too long");
    let newline = |bytes: &[u8]| bytes.iter().rposition(|b| *b == b'\n').map(|at| at + 1);
    let whole = newline(&bytes).unwrap_or(0);
    let torn = bytes.split_off(whole);
    if torn.len() > LINE_BYTES || whole == 0 && window < length {
        return Err(too_long());
    }
    let last = match bytes.split_last() {
        None => None,
        Some((_, rest)) => {
            let begin = newline(rest).unwrap_or(0);
            if begin == 0 && window < length || bytes.len() - begin > LINE_BYTES {
                return Err(too_long());
            }
            Some(bytes.split_off(begin))
        }
    };
    Ok(End {
        last,
        whole: length - torn.len() as u64,
        torn,
    })
}

#[cfg(test)]
mod tests {
    use std::io::Write as _;

    use super::*;

    fn file(bytes: &[u8]) -> File {
        let mut file = tempfile::tempfile().unwrap();
        file.write_all(bytes).unwrap();
        file
    }

    fn of(bytes: &[u8]) -> (Option<Vec<u8>>, Vec<u8>, u64) {
        let end = end(&mut file(bytes)).unwrap();
        (end.last, end.torn, end.whole)
    }

    #[test]
    fn the_end_is_found_whatever_is_before_it() {
        assert_eq!(of(b""), (None, vec![], 0));
        assert_eq!(of(b"a"), (None, b"a".to_vec(), 0));
        assert_eq!(of(b"a\n"), (Some(b"a\n".to_vec()), vec![], 2));
        assert_eq!(of(b"a\nb\n"), (Some(b"b\n".to_vec()), vec![], 4));
        assert_eq!(of(b"a\nb"), (Some(b"a\n".to_vec()), b"b".to_vec(), 2));
        assert_eq!(of(b"a\n\n"), (Some(b"\n".to_vec()), vec![], 3));
        let mut long = b"x\n".repeat(LINE_BYTES * 2);
        let length = long.len() as u64;
        long.extend(b"torn");
        assert_eq!(of(&long), (Some(b"x\n".to_vec()), b"torn".to_vec(), length));
    }

    #[test]
    fn a_line_that_is_too_long_is_an_error_and_not_memory() {
        let longest = [vec![b'x'; LINE_BYTES - 1], b"\n".to_vec()].concat();
        assert_eq!(of(&longest).0.unwrap().len(), LINE_BYTES);
        let mut lines = Lines::new(longest.as_slice());
        assert!(matches!(lines.read().unwrap(), Some(Found::Whole(_))));
        for more in [1, LINE_BYTES, 5 * LINE_BYTES] {
            let line = [vec![b'x'; LINE_BYTES - 1 + more], b"\n".to_vec()].concat();
            for bytes in [&line[..], &line[..line.len() - 1]] {
                if bytes.len() > LINE_BYTES {
                    end(&mut file(bytes)).unwrap_err();
                    end(&mut file(&[b"a\n", bytes].concat())).unwrap_err();
                    let mut lines = Lines::new(bytes);
                    assert_eq!(lines.read().unwrap(), Some(Found::TooLong));
                }
            }
        }
    }

    #[test]
    fn lines_are_counted_and_a_torn_one_is_told_apart() {
        let mut lines = Lines::new(&b"a\n\nb"[..]);
        assert_eq!(lines.read().unwrap(), Some(Found::Whole(b"a\n")));
        assert_eq!(lines.read().unwrap(), Some(Found::Whole(b"\n")));
        assert_eq!(lines.read().unwrap(), Some(Found::Torn(b"b")));
        assert_eq!((lines.number, lines.offset), (3, 4));
        assert_eq!(lines.read().unwrap(), None);
    }
}
