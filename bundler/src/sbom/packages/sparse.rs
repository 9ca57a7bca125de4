//! Files with holes, as GNU tar and libarchive write them with PAX headers (GNU tar manual, "Storing Sparse Files",
//! versions 0.0, 0.1 and 1.0). The old form, an entry type of its own, is the business of `tar`.

use std::io::{self, Read};

/// Parts of one file. What is fragmented more than that was never written as it is.
const PARTS: usize = 1 << 20;
/// Length of a block of an archive, in bytes.
const BLOCK: usize = 512;

/// What PAX headers say of a file with holes.
#[derive(Debug, Default, PartialEq, Eq)]
pub(super) struct Sparse {
    /// Its path, where the entry has another.
    pub(super) name: Option<Vec<u8>>,
    /// Its length with its holes, in bytes.
    pub(super) size: u64,
    /// Offset and length of each part that is stored.
    parts: Vec<(u64, u64)>,
    /// Whether the parts are listed before the content instead.
    listed_first: bool,
}

impl Sparse {
    /// Takes the headers of an entry, by their keys and values. None if it has no holes.
    ///
    /// # Errors
    /// A list of parts that is none.
    pub(super) fn of<'h>(
        headers: impl Iterator<Item = (&'h [u8], &'h [u8])>,
    ) -> io::Result<Option<Self>> {
        let mut sparse = Self::default();
        let (mut numbers, mut seen) = (Vec::new(), false);
        for (key, value) in headers {
            let Some(key) = key.strip_prefix(b"GNU.sparse.") else {
                continue;
            };
            seen = true;
            match key {
                b"name" => sparse.name = Some(value.to_owned()),
                b"size" | b"realsize" => sparse.size = number(value)?,
                b"major" => sparse.listed_first = value == b"1",
                b"offset" | b"numbytes" => numbers.push(number(value)?),
                b"map" => {
                    let all = value.split(|byte| *byte == b',').map(number);
                    numbers = all.collect::<io::Result<_>>()?;
                }
                _ => {}
            }
        }
        sparse.parts = parts(&numbers)?;
        Ok(seen.then_some(sparse))
    }

    /// The whole content, with zeros for holes, from what is stored.
    ///
    /// # Errors
    /// A list of parts that is none.
    pub(super) fn fill<R: Read>(self, mut stored: R) -> io::Result<Filled<R>> {
        let parts = if self.listed_first {
            list(&mut stored)?
        } else {
            self.parts
        };
        Ok(Filled {
            stored,
            parts: parts.into_iter(),
            at: 0,
            size: self.size,
            zeros: 0,
            data: 0,
        })
    }
}

fn malformed() -> io::Error {
    io::Error::other("has a sparse file whose list of parts is malformed")
}

fn number(text: &[u8]) -> io::Result<u64> {
    let text = str::from_utf8(text).ok();
    text.and_then(|text| text.parse().ok())
        .ok_or_else(malformed)
}

fn parts(numbers: &[u64]) -> io::Result<Vec<(u64, u64)>> {
    let (pairs, rest) = numbers.as_chunks::<2>();
    if rest.is_empty() && pairs.len() <= PARTS {
        Ok(pairs
            .iter()
            .map(|[offset, length]| (*offset, *length))
            .collect())
    } else {
        Err(malformed())
    }
}

/// The list before the content: how many parts there are, then two numbers for each, a line each, up to the end of
/// a block.
fn list(stored: &mut impl Read) -> io::Result<Vec<(u64, u64)>> {
    let (mut numbers, mut line) = (Vec::new(), Vec::new());
    let mut wanted = 1;
    while numbers.len() < wanted {
        let mut block = [0; BLOCK];
        stored.read_exact(&mut block)?;
        for byte in block {
            match byte {
                b'\n' => {
                    numbers.push(number(&line)?);
                    line.clear();
                }
                // What comes behind the last line fills the block.
                _ if numbers.len() == wanted => break,
                _ => line.push(byte),
            }
            if numbers.len() == 1 {
                let count = numbers.first().and_then(|n| usize::try_from(*n).ok());
                let count = count.filter(|count| *count <= PARTS);
                wanted = 1 + 2 * count.ok_or_else(malformed)?;
            }
        }
    }
    parts(numbers.get(1..).unwrap_or_default())
}

/// A file with zeros where its holes are.
pub(super) struct Filled<R> {
    stored: R,
    parts: std::vec::IntoIter<(u64, u64)>,
    at: u64,
    size: u64,
    /// What comes next: so many zeros, then so many bytes that are stored.
    zeros: u64,
    data: u64,
}

impl<R: Read> Read for Filled<R> {
    fn read(&mut self, buffer: &mut [u8]) -> io::Result<usize> {
        while self.zeros == 0 && self.data == 0 {
            let part = self.parts.next();
            let (offset, length) = part.unwrap_or((self.size, 0));
            self.zeros = offset.checked_sub(self.at).ok_or_else(malformed)?;
            self.data = length;
            if part.is_none() && self.zeros == 0 {
                return Ok(0);
            }
        }
        let room = |left: u64| usize::try_from(left).map_or(buffer.len(), |n| n.min(buffer.len()));
        let count = if self.zeros > 0 {
            let count = room(self.zeros);
            buffer[..count].fill(0);
            self.zeros -= count as u64;
            count
        } else {
            let count = room(self.data);
            let count = self.stored.read(&mut buffer[..count])?;
            if count == 0 && !buffer.is_empty() {
                return Err(io::ErrorKind::UnexpectedEof.into());
            }
            self.data -= count as u64;
            count
        };
        self.at += count as u64;
        Ok(count)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn read(headers: &[(&str, &str)], stored: &[u8]) -> io::Result<Option<Vec<u8>>> {
        let headers = headers
            .iter()
            .map(|(key, value)| (key.as_bytes(), value.as_bytes()));
        let Some(sparse) = Sparse::of(headers)? else {
            return Ok(None);
        };
        let mut content = Vec::new();
        sparse.fill(stored)?.read_to_end(&mut content)?;
        Ok(Some(content))
    }

    #[test]
    fn holes_are_zeros() {
        let expected = Some(b"\0\0ab\0c\0".to_vec());
        let zero = [
            ("GNU.sparse.size", "7"),
            ("GNU.sparse.numblocks", "2"),
            ("GNU.sparse.offset", "2"),
            ("GNU.sparse.numbytes", "2"),
            ("GNU.sparse.offset", "5"),
            ("GNU.sparse.numbytes", "1"),
        ];
        assert_eq!(read(&zero, b"abc").unwrap(), expected);
        let one = [("GNU.sparse.size", "7"), ("GNU.sparse.map", "2,2,5,1")];
        assert_eq!(read(&one, b"abc").unwrap(), expected);
        let newest = [
            ("GNU.sparse.major", "1"),
            ("GNU.sparse.minor", "0"),
            ("GNU.sparse.realsize", "7"),
        ];
        let mut stored = b"2\n2\n2\n5\n1\n".to_vec();
        stored.resize(BLOCK, 0);
        stored.extend(b"abc");
        assert_eq!(read(&newest, &stored).unwrap(), expected);
        let mut many = b"200\n".to_vec();
        (0..200).for_each(|n| many.extend(format!("{}\n1\n", 2 * n).bytes()));
        many.resize(many.len().next_multiple_of(BLOCK), 0);
        many.extend([b'x'; 200]);
        let newest = [("GNU.sparse.major", "1"), ("GNU.sparse.realsize", "400")];
        assert_eq!(read(&newest, &many).unwrap(), Some(b"x\0".repeat(200)));
        assert_eq!(read(&[("mtime", "1")], b"abc").unwrap(), None);
    }

    #[test]
    fn lists_that_are_none_are_mistakes() {
        for (key, value) in [
            ("map", "1"),
            ("map", "1,x"),
            ("map", "5,1,2,1"),
            ("map", ""),
            ("offset", "1"),
            ("size", "-1"),
            ("map", "0,2"),
        ] {
            let headers = [
                ("GNU.sparse.size", "9"),
                (&format!("GNU.sparse.{key}"), value),
            ];
            assert!(read(&headers, b"a").is_err(), "{key} {value}");
        }
        for list in ["9999999\n", "1\n1\n", "1\n\n", "x\n"] {
            let mut stored = list.as_bytes().to_vec();
            stored.resize(BLOCK, 0);
            assert!(
                read(&[("GNU.sparse.major", "1")], &stored).is_err(),
                "{list:?}"
            );
        }
    }

    proptest::proptest! {
        #[test]
        fn no_list_panics(stored in "[0-9\n]{0,600}", map in "[0-9,]{0,40}") {
            let _ = read(&[("GNU.sparse.major", "1")], stored.as_bytes());
            let _ = read(&[("GNU.sparse.map", &map)], stored.as_bytes());
        }
    }
}
