//! Sets of versions as the solver calculates with them: by their positions in a sorted list.

use std::fmt;

use pubgrub::VersionSet;
use version_ranges::Ranges;

/// The position of a version among all of its package.
pub(super) type Position = u32;

/// A set of positions. Every range begins with one that is in it and ends before one that is not, so that
/// equal sets are equal values.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(super) struct Positions(Ranges<Position>);

impl Positions {
    /// The smallest position in the set.
    pub(super) fn first(&self, length: usize) -> Option<Position> {
        self.below(length).next()
    }

    /// Those in the set of a list of this length, in ascending order.
    pub(super) fn below(&self, length: usize) -> impl DoubleEndedIterator<Item = Position> {
        let end = Position::try_from(length).unwrap_or(Position::MAX);
        (0..end).filter(|position| self.contains(position))
    }

    /// Whether there is none in it.
    pub(super) fn is_empty(&self) -> bool {
        self.0.is_empty()
    }
}

impl FromIterator<Position> for Positions {
    fn from_iter<I: IntoIterator<Item = Position>>(positions: I) -> Self {
        let mut set = Ranges::empty();
        let mut run: Option<(Position, Position)> = None;
        for position in positions {
            run = match run {
                Some((start, end)) if end == position => Some((start, position + 1)),
                Some((start, end)) => {
                    set = set.union(&Ranges::between(start, end));
                    Some((position, position + 1))
                }
                None => Some((position, position + 1)),
            };
        }
        match run {
            Some((start, end)) => Self(set.union(&Ranges::between(start, end))),
            None => Self(set),
        }
    }
}

impl fmt::Display for Positions {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        self.0.fmt(f)
    }
}

impl VersionSet for Positions {
    type V = Position;

    fn empty() -> Self {
        Self(Ranges::empty())
    }

    fn singleton(position: Position) -> Self {
        Self(Ranges::between(position, position + 1))
    }

    fn complement(&self) -> Self {
        Self(self.0.complement())
    }

    fn intersection(&self, other: &Self) -> Self {
        Self(self.0.intersection(&other.0))
    }

    fn contains(&self, position: &Position) -> bool {
        self.0.contains(position)
    }

    fn full() -> Self {
        Self(Ranges::full())
    }

    fn union(&self, other: &Self) -> Self {
        Self(self.0.union(&other.0))
    }

    fn is_disjoint(&self, other: &Self) -> bool {
        self.0.is_disjoint(&other.0)
    }

    fn subset_of(&self, other: &Self) -> bool {
        self.0.subset_of(&other.0)
    }
}
