//! Counts of base units (pieces; grams for weighed goods) and record versions. Bounded on the way in and on the way
//! out, so that no sum of a few of them can leave 64 bits.

use std::fmt;

/// The largest quantity, of either sign.
pub const MAX_QUANTITY: i64 = 1_000_000_000_000;

#[derive(Debug, Clone, Copy, PartialEq, Eq, thiserror::Error)]
pub enum QuantityError {
    #[error("must not be negative")]
    Negative,
    #[error("must be at most {MAX_QUANTITY}")]
    TooLarge,
    #[error("must be a version, 0 or above")]
    NotAVersion,
}

/// How many: 0 to 10¹².
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash, Default)]
pub struct Quantity(i64);

impl Quantity {
    pub const ZERO: Self = Self(0);
    pub const ONE: Self = Self(1);

    pub fn try_new(units: i64) -> Result<Self, QuantityError> {
        match units {
            ..0 => Err(QuantityError::Negative),
            0..=MAX_QUANTITY => Ok(Self(units)),
            _ => Err(QuantityError::TooLarge),
        }
    }

    pub fn get(self) -> i64 {
        self.0
    }

    pub fn is_zero(self) -> bool {
        self.0 == 0
    }

    pub fn checked_add(self, other: Self) -> Result<Self, QuantityError> {
        Self::try_new(self.0 + other.0)
    }

    /// Refused where the result would be below zero.
    pub fn checked_sub(self, other: Self) -> Result<Self, QuantityError> {
        Self::try_new(self.0 - other.0)
    }

    pub fn apply(self, change: QuantityDelta) -> Result<Self, QuantityError> {
        Self::try_new(self.0 + change.0)
    }
}

/// A change: −10¹² to 10¹².
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash, Default)]
pub struct QuantityDelta(i64);

impl QuantityDelta {
    pub const ZERO: Self = Self(0);

    pub fn try_new(units: i64) -> Result<Self, QuantityError> {
        if (-MAX_QUANTITY..=MAX_QUANTITY).contains(&units) { Ok(Self(units)) } else { Err(QuantityError::TooLarge) }
    }

    pub fn get(self) -> i64 {
        self.0
    }

    pub fn is_zero(self) -> bool {
        self.0 == 0
    }

    pub fn checked_add(self, other: Self) -> Result<Self, QuantityError> {
        Self::try_new(self.0 + other.0)
    }

    /// The change without its sign.
    pub fn magnitude(self) -> Quantity {
        Quantity(self.0.abs())
    }
}

impl std::ops::Neg for QuantityDelta {
    type Output = Self;

    fn neg(self) -> Self {
        Self(-self.0)
    }
}

impl From<Quantity> for QuantityDelta {
    fn from(quantity: Quantity) -> Self {
        Self(quantity.0)
    }
}

/// The version of a record: 0 before it exists, then rising by one with each committed change.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash, Default)]
pub struct Version(i64);

impl Version {
    /// Before the first change.
    pub const NONE: Self = Self(0);
    pub const FIRST: Self = Self(1);

    pub fn try_new(version: i64) -> Result<Self, QuantityError> {
        if version < 0 { Err(QuantityError::NotAVersion) } else { Ok(Self(version)) }
    }

    pub fn get(self) -> i64 {
        self.0
    }

    #[must_use]
    pub fn next(self) -> Self {
        Self(self.0 + 1)
    }
}

macro_rules! number {
    ($($name:ident)+) => {$(
        impl From<$name> for i64 {
            fn from(value: $name) -> Self {
                value.0
            }
        }

        impl TryFrom<i64> for $name {
            type Error = QuantityError;

            fn try_from(value: i64) -> Result<Self, QuantityError> {
                Self::try_new(value)
            }
        }

        impl fmt::Display for $name {
            fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
                self.0.fmt(f)
            }
        }

        #[cfg(feature = "sqlx")]
        crate::column::transparent_column!($name, i64);
    )+};
}

number!(Quantity QuantityDelta Version);

#[cfg(test)]
mod tests {
    use rstest::rstest;

    use super::*;

    #[rstest]
    #[case(0, Ok(0))]
    #[case(MAX_QUANTITY, Ok(MAX_QUANTITY))]
    #[case(-1, Err(QuantityError::Negative))]
    #[case(i64::MIN, Err(QuantityError::Negative))]
    #[case(MAX_QUANTITY + 1, Err(QuantityError::TooLarge))]
    #[case(i64::MAX, Err(QuantityError::TooLarge))]
    fn quantities_are_bounded(#[case] units: i64, #[case] result: Result<i64, QuantityError>) {
        assert_eq!(Quantity::try_new(units).map(Quantity::get), result);
    }

    #[test]
    fn arithmetic_refuses_to_leave_the_bounds() {
        let max = Quantity::try_new(MAX_QUANTITY).unwrap();
        assert_eq!(Quantity::ZERO.checked_sub(Quantity::ONE), Err(QuantityError::Negative));
        assert_eq!(max.checked_add(Quantity::ONE), Err(QuantityError::TooLarge));
        assert_eq!(max.apply(-QuantityDelta::from(max)), Ok(Quantity::ZERO));
        assert_eq!(QuantityDelta::try_new(-MAX_QUANTITY - 1), Err(QuantityError::TooLarge));
        assert_eq!(QuantityDelta::try_new(-3).unwrap().magnitude().get(), 3);
        assert_eq!(Version::try_new(-1), Err(QuantityError::NotAVersion));
        assert_eq!(Version::NONE.next(), Version::FIRST);
    }
}
