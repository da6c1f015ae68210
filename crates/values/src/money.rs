//! Exact money. Amounts are integers of the smallest unit; prices per unit are finer (micros of the major unit), and
//! become an amount by exactly one rounding, half to even, per line. Arithmetic that would overflow or mix currencies
//! is an error, so there are no `+` and `-` here.

use std::fmt;

use rust_decimal::Decimal;

use crate::currency::Currency;

const MICROS_DIGITS: u32 = 6;

#[derive(Debug, Clone, Copy, PartialEq, Eq, thiserror::Error)]
pub enum MoneyError {
    #[error("{left} and {right} cannot be mixed")]
    CurrencyMismatch { left: Currency, right: Currency },
    #[error("the amount leaves the range of 64-bit integers")]
    Overflow,
    #[error("must be a decimal number with at most 6 digits after the point")]
    NotADecimal,
    #[error("must be at most 10000 basis points")]
    NotAShare,
}

/// An amount in minor units (pence, cents) of one currency.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
pub struct Money {
    minor: i64,
    currency: Currency,
}

impl Money {
    pub fn new(minor: i64, currency: Currency) -> Self {
        Self { minor, currency }
    }

    pub fn zero(currency: Currency) -> Self {
        Self::new(0, currency)
    }

    pub fn minor(self) -> i64 {
        self.minor
    }

    pub fn currency(self) -> Currency {
        self.currency
    }

    pub fn is_zero(self) -> bool {
        self.minor == 0
    }

    pub fn is_negative(self) -> bool {
        self.minor < 0
    }

    pub fn checked_add(self, other: Self) -> Result<Self, MoneyError> {
        same_currency(self.currency, other.currency)?;
        self.with(self.minor.checked_add(other.minor))
    }

    pub fn checked_sub(self, other: Self) -> Result<Self, MoneyError> {
        same_currency(self.currency, other.currency)?;
        self.with(self.minor.checked_sub(other.minor))
    }

    pub fn checked_neg(self) -> Result<Self, MoneyError> {
        self.with(self.minor.checked_neg())
    }

    pub fn checked_mul(self, times: i64) -> Result<Self, MoneyError> {
        self.with(self.minor.checked_mul(times))
    }

    /// The sum, zero for nothing. Overflow is judged by the result, not by the order of the summands.
    pub fn sum(currency: Currency, amounts: impl IntoIterator<Item = Self>) -> Result<Self, MoneyError> {
        let mut total = 0_i128;
        for amount in amounts {
            same_currency(currency, amount.currency)?;
            total += i128::from(amount.minor);
        }
        narrow(total).map(|minor| Self::new(minor, currency))
    }

    fn with(self, minor: Option<i64>) -> Result<Self, MoneyError> {
        minor.map(|minor| Self::new(minor, self.currency)).ok_or(MoneyError::Overflow)
    }
}

impl fmt::Display for Money {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write_scaled(f, self.minor, self.currency.exponent())?;
        write!(f, " {}", self.currency)
    }
}

/// The price of one unit in millionths of the major unit: 1.25 pounds are 1,250,000. May be negative (a fee that takes
/// back).
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
pub struct UnitPrice {
    micros: i64,
    currency: Currency,
}

impl UnitPrice {
    pub fn new(micros: i64, currency: Currency) -> Self {
        Self { micros, currency }
    }

    /// Reads a decimal number of the major unit, such as `2.55` or `0.001`. More than six decimals are refused, not
    /// rounded away.
    pub fn parse_major(text: &str, currency: Currency) -> Result<Self, MoneyError> {
        let price = Decimal::from_str_exact(text.trim()).map_err(|_| MoneyError::NotADecimal)?.normalize();
        let missing = MICROS_DIGITS.checked_sub(price.scale()).ok_or(MoneyError::NotADecimal)?;
        let micros = price.mantissa().checked_mul(10_i128.pow(missing)).ok_or(MoneyError::Overflow)?;
        narrow(micros).map(|micros| Self::new(micros, currency))
    }

    pub fn micros(self) -> i64 {
        self.micros
    }

    pub fn currency(self) -> Currency {
        self.currency
    }

    /// The amount of so many units (`Quantity`, or a signed `QuantityDelta`), rounded half to even once.
    pub fn times(self, quantity: impl Into<i64>) -> Result<Money, MoneyError> {
        let micros = i128::from(self.micros) * i128::from(quantity.into());
        let per_minor = 10_i128.pow(MICROS_DIGITS - self.currency.exponent());
        narrow(div_half_even(micros, per_minor)).map(|minor| Money::new(minor, self.currency))
    }
}

impl fmt::Display for UnitPrice {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write_scaled(f, self.micros, MICROS_DIGITS)?;
        write!(f, " {}", self.currency)
    }
}

/// A share of a whole in hundredths of a percent: 0 to 10,000.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct BasisPoints(u32);

impl BasisPoints {
    pub const WHOLE: Self = Self(10_000);

    pub fn try_new(points: u32) -> Result<Self, MoneyError> {
        if points > Self::WHOLE.0 { Err(MoneyError::NotAShare) } else { Ok(Self(points)) }
    }

    pub fn get(self) -> u32 {
        self.0
    }

    /// This share of an amount, rounded half to even. Never larger than the amount.
    pub fn of(self, amount: Money) -> Money {
        let share = div_half_even(i128::from(amount.minor) * i128::from(self.0), i128::from(Self::WHOLE.0));
        Money::new(narrow(share).expect("a share is not larger than the whole"), amount.currency)
    }
}

fn same_currency(left: Currency, right: Currency) -> Result<(), MoneyError> {
    if left == right { Ok(()) } else { Err(MoneyError::CurrencyMismatch { left, right }) }
}

fn narrow(minor: i128) -> Result<i64, MoneyError> {
    i64::try_from(minor).map_err(|_| MoneyError::Overflow)
}

/// Division with the rounding that has no bias over many lines: half to even. `divisor` is positive.
fn div_half_even(dividend: i128, divisor: i128) -> i128 {
    let floor = dividend.div_euclid(divisor);
    let twice = 2 * dividend.rem_euclid(divisor);
    let up = twice > divisor || (twice == divisor && floor % 2 != 0);
    floor + i128::from(up)
}

fn write_scaled(f: &mut fmt::Formatter<'_>, value: i64, digits: u32) -> fmt::Result {
    let sign = if value < 0 { "-" } else { "" };
    let scale = 10_u64.pow(digits);
    let (whole, part) = (value.unsigned_abs() / scale, value.unsigned_abs() % scale);
    if digits == 0 {
        write!(f, "{sign}{whole}")
    } else {
        write!(f, "{sign}{whole}.{part:0width$}", width = digits as usize)
    }
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;
    use rstest::rstest;

    use super::*;
    use crate::quantity::{Quantity, QuantityDelta};

    const GBP: Currency = Currency::GBP;

    fn pence(minor: i64) -> Money {
        Money::new(minor, GBP)
    }

    #[test]
    fn mixed_currencies_are_refused() {
        let error = MoneyError::CurrencyMismatch { left: GBP, right: Currency::EUR };
        assert_eq!(pence(1).checked_add(Money::zero(Currency::EUR)), Err(error));
        assert_eq!(pence(1).checked_sub(Money::zero(Currency::EUR)), Err(error));
        assert_eq!(Money::sum(GBP, [Money::zero(Currency::EUR)]), Err(error));
    }

    #[test]
    fn overflow_is_an_error() {
        assert_eq!(pence(i64::MAX).checked_add(pence(1)), Err(MoneyError::Overflow));
        assert_eq!(pence(i64::MIN).checked_sub(pence(1)), Err(MoneyError::Overflow));
        assert_eq!(pence(i64::MIN).checked_neg(), Err(MoneyError::Overflow));
        assert_eq!(pence(i64::MAX).checked_mul(2), Err(MoneyError::Overflow));
        assert_eq!(Money::sum(GBP, [pence(i64::MAX), pence(1)]), Err(MoneyError::Overflow));
        assert_eq!(Money::sum(GBP, [pence(i64::MAX), pence(1), pence(-1)]), Ok(pence(i64::MAX)));
        let dear = UnitPrice::new(i64::MAX, GBP);
        assert_eq!(dear.times(Quantity::try_new(1_000_000_000_000).unwrap()), Err(MoneyError::Overflow));
    }

    #[rstest]
    #[case(2_550_000, 6, 1_530)]
    #[case(1_000, 5, 0)] // half a penny: to even, down
    #[case(1_000, 15, 2)] // one and a half: to even, up
    #[case(1_000, 25, 2)]
    #[case(1_000, 6, 1)]
    #[case(1_000, -5, 0)]
    #[case(1_000, -15, -2)]
    #[case(-1_000, 6, -1)]
    #[case(0, 1_000, 0)]
    fn a_line_is_rounded_once_half_to_even(#[case] micros: i64, #[case] units: i64, #[case] minor: i64) {
        let quantity = QuantityDelta::try_new(units).unwrap();
        assert_eq!(UnitPrice::new(micros, GBP).times(quantity), Ok(pence(minor)));
    }

    #[rstest]
    #[case("JPY", 1_500_000, 3, 4)] // 4.5 yen
    #[case("JPY", 1_500_000, 5, 8)] // 7.5 yen
    #[case("KWD", 1_234_500, 1, 1_234)]
    #[case("CLF", 1_234_567, 1, 12_346)]
    fn the_currency_decides_the_minor_unit(
        #[case] code: &str,
        #[case] micros: i64,
        #[case] units: i64,
        #[case] minor: i64,
    ) {
        let price = UnitPrice::new(micros, code.parse().unwrap());
        assert_eq!(price.times(Quantity::try_new(units).unwrap()).unwrap().minor(), minor);
    }

    #[rstest]
    #[case("2.55", Ok(2_550_000))]
    #[case(" 0.001 ", Ok(1_000))]
    #[case("-11062.06", Ok(-11_062_060_000))]
    #[case("38970", Ok(38_970_000_000))]
    #[case("1.0000000", Ok(1_000_000))]
    #[case("1.0000001", Err(MoneyError::NotADecimal))]
    #[case("", Err(MoneyError::NotADecimal))]
    #[case("1e3", Err(MoneyError::NotADecimal))]
    #[case("1,5", Err(MoneyError::NotADecimal))]
    #[case("9300000000000", Err(MoneyError::Overflow))]
    fn decimal_prices_are_read_without_loss(#[case] text: &str, #[case] micros: Result<i64, MoneyError>) {
        assert_eq!(UnitPrice::parse_major(text, GBP).map(UnitPrice::micros), micros);
    }

    #[test]
    fn amounts_print_in_the_major_unit() {
        assert_eq!(pence(-5).to_string(), "-0.05 GBP");
        assert_eq!(pence(i64::MIN).to_string(), "-92233720368547758.08 GBP");
        assert_eq!(Money::new(7, "JPY".parse().unwrap()).to_string(), "7 JPY");
        assert_eq!(UnitPrice::new(1_000, GBP).to_string(), "0.001000 GBP");
    }

    #[test]
    fn basis_points_are_a_share() {
        assert_eq!(BasisPoints::try_new(1_750).unwrap().of(pence(1_000)), pence(175));
        assert_eq!(BasisPoints::WHOLE.of(pence(i64::MIN)), pence(i64::MIN));
        assert_eq!(BasisPoints::try_new(5_000).unwrap().of(pence(3)), pence(2));
        assert_eq!(BasisPoints::try_new(5_000).unwrap().of(pence(5)), pence(2));
        assert_eq!(BasisPoints::try_new(10_001), Err(MoneyError::NotAShare));
    }

    proptest! {
        #[test]
        fn adding_then_subtracting_gives_the_amount_back(a in any::<i64>(), b in any::<i64>()) {
            if let Ok(sum) = pence(a).checked_add(pence(b)) {
                prop_assert_eq!(sum.checked_sub(pence(b)), Ok(pence(a)));
                prop_assert_eq!(pence(b).checked_add(pence(a)), Ok(sum));
            } else {
                prop_assert!(i64::try_from(i128::from(a) + i128::from(b)).is_err());
            }
        }

        #[test]
        fn a_whole_penny_price_is_exact(price in -1_000_000_i64..1_000_000, units in 0_i64..1_000_000) {
            let amount = UnitPrice::new(price * 10_000, GBP).times(units).unwrap();
            prop_assert_eq!(amount.minor(), price * units);
        }

        #[test]
        fn rounding_is_never_off_by_more_than_half_and_symmetric(micros in any::<i64>(), units in -1_000_000_i64..1_000_000) {
            let price = UnitPrice::new(micros, GBP);
            if let Ok(amount) = price.times(units) {
                let off = i128::from(amount.minor()) * 10_000 - i128::from(micros) * i128::from(units);
                prop_assert!(off.abs() <= 5_000);
                if amount.minor() != i64::MIN {
                    prop_assert_eq!(price.times(-units), amount.checked_neg());
                }
            }
        }

        #[test]
        fn a_printed_price_reads_back(micros in any::<i64>()) {
            let price = UnitPrice::new(micros, GBP);
            let text = price.to_string();
            prop_assert_eq!(UnitPrice::parse_major(text.trim_end_matches(" GBP"), GBP), Ok(price));
        }
    }
}
