//! Places on Earth: WGS 84 coordinates in whole micro-degrees, and how far apart they are.
//!
//! Integers, because a coordinate is compared, stored, hashed and sent, and must come back as it was; a micro-degree is
//! 11 cm, finer than any door. And the distance is computed in integers as well: which of two shops is nearer decides
//! where goods are sent from, so two machines must never disagree in the last bit of a sine.
//!
//! Distances are along the sphere of the mean radius, up to 0.6 % off the ellipsoid. The computation itself is good to a
//! metre: points become unit vectors with 30 binary places (6 mm), the chord between them gives the angle. Beyond a
//! quarter of the circle the way to the antipode is measured instead, where the chord still tells angles apart.

use std::{fmt, str::FromStr};

use crate::text::TextError;

const MICRO: i64 = 1_000_000;

/// Binary places of the fixed-point numbers below, and one.
const PLACES: u32 = 30;
const ONE: i64 = 1 << PLACES;
/// π with these places.
const PI: i64 = 3_373_259_426;

const MEAN_RADIUS_DM: i64 = 63_710_088;

/// A point on Earth, WGS 84.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
pub struct Coordinates {
    latitude: i32,
    longitude: i32,
}

/// The number is not on the globe.
#[derive(Debug, Clone, Copy, PartialEq, Eq, thiserror::Error)]
pub enum CoordinatesError {
    #[error("the latitude must be -90,000,000 to 90,000,000 micro-degrees")]
    Latitude,
    #[error("the longitude must be -180,000,000 to 180,000,000 micro-degrees")]
    Longitude,
}

impl Coordinates {
    /// Latitude (north positive) and longitude (east positive) in micro-degrees.
    pub fn try_new(latitude: i32, longitude: i32) -> Result<Self, CoordinatesError> {
        if !(-90_000_000..=90_000_000).contains(&latitude) {
            return Err(CoordinatesError::Latitude);
        }
        if !(-180_000_000..=180_000_000).contains(&longitude) {
            return Err(CoordinatesError::Longitude);
        }
        Ok(Self { latitude, longitude })
    }

    pub fn latitude_micro_degrees(&self) -> i32 {
        self.latitude
    }

    pub fn longitude_micro_degrees(&self) -> i32 {
        self.longitude
    }

    /// The way along the surface, in whole metres.
    pub fn distance_m(&self, other: &Self) -> u32 {
        let (here, there) = (self.vector(), other.vector());
        let squared_chord = |sign: i64| -> i64 {
            here.iter().zip(&there).map(|(a, b)| a - sign * b).map(|difference| difference * difference).sum()
        };
        let direct = squared_chord(1);
        let angle = if direct <= 2 * ONE * ONE { angle(direct) } else { PI - angle(squared_chord(-1)) };
        ((angle * MEAN_RADIUS_DM / 10 + ONE / 2) >> PLACES) as u32
    }

    /// The latitudes, in micro-degrees, between which everything within `radius_m` lies: a coarse filter for a store.
    pub fn latitudes_within(&self, radius_m: u32) -> (i32, i32) {
        // A degree of latitude is at least 110.5 km.
        let reach = i64::from(radius_m) * MICRO / 110_500 + 1;
        let bound = |latitude: i64| latitude.clamp(-90 * MICRO, 90 * MICRO) as i32;
        (bound(i64::from(self.latitude) - reach), bound(i64::from(self.latitude) + reach))
    }

    /// The unit vector from the centre of the Earth.
    fn vector(self) -> [i64; 3] {
        let (sin_latitude, cos_latitude) = sin_cos(self.latitude.into());
        let (sin_longitude, cos_longitude) = sin_cos(self.longitude.into());
        [times(cos_latitude, cos_longitude), times(cos_latitude, sin_longitude), sin_latitude]
    }
}

fn times(a: i64, b: i64) -> i64 {
    (a * b + ONE / 2) >> PLACES
}

/// Sine and cosine of -180 to 180 degrees, reduced to the first 45.
fn sin_cos(micro_degrees: i64) -> (i64, i64) {
    let folded = micro_degrees.abs();
    let (acute, back) = if folded > 90 * MICRO { (180 * MICRO - folded, true) } else { (folded, false) };
    let (sin, cos) = if acute > 45 * MICRO {
        let (sin, cos) = series(90 * MICRO - acute);
        (cos, sin)
    } else {
        series(acute)
    };
    (sin * micro_degrees.signum(), if back { -cos } else { cos })
}

/// Taylor's series for 0 to 45 degrees.
fn series(micro_degrees: i64) -> (i64, i64) {
    let angle = (micro_degrees * PI + 90 * MICRO) / (180 * MICRO);
    let (mut sin, mut cos) = (0, 0);
    let mut term = ONE;
    for power in 0.. {
        if term == 0 {
            break;
        }
        let sum = if power % 2 == 0 { &mut cos } else { &mut sin };
        *sum += if power % 4 < 2 { term } else { -term };
        term = times(term, angle) / (power + 1);
    }
    (sin, cos)
}

/// The angle under a chord of at most √2, given its square with twice the places.
fn angle(squared_chord: i64) -> i64 {
    let half = (squared_chord / 4).isqrt();
    if half <= ONE / 2 { 2 * arcsine(half) } else { PI - 4 * arcsine(((ONE - half) * ONE / 2).isqrt()) }
}

/// The arcsine of 0 to ½, by its series.
fn arcsine(x: i64) -> i64 {
    let square = times(x, x);
    let (mut sum, mut term) = (x, x);
    for k in 1.. {
        term = times(term, square) * (2 * k - 1) / (2 * k);
        if term == 0 {
            break;
        }
        sum += term / (2 * k + 1);
    }
    sum
}

/// An ISO 3166-1 alpha-2 country code: two letters, upper-cased. The list of countries changes; the form does not.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
pub struct CountryCode([u8; 2]);

impl CountryCode {
    pub fn as_str(&self) -> &str {
        // Two ASCII letters since parsing.
        std::str::from_utf8(&self.0).unwrap_or_default()
    }
}

impl FromStr for CountryCode {
    type Err = TextError;

    fn from_str(text: &str) -> Result<Self, TextError> {
        match text.trim().as_bytes() {
            [] => Err(TextError::Empty),
            [a, b] if a.is_ascii_alphabetic() && b.is_ascii_alphabetic() => {
                Ok(Self([a.to_ascii_uppercase(), b.to_ascii_uppercase()]))
            }
            _ => Err(TextError::NotCountry),
        }
    }
}

impl fmt::Display for CountryCode {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.pad(self.as_str())
    }
}

#[cfg(test)]
mod tests {
    #![expect(clippy::float_arithmetic, reason = "the integers are held against the textbook formula")]

    use proptest::prelude::*;
    use rstest::rstest;

    use super::*;

    fn point(latitude: i32, longitude: i32) -> Coordinates {
        Coordinates::try_new(latitude, longitude).unwrap()
    }

    /// The haversine, in floats.
    fn haversine(a: Coordinates, b: Coordinates) -> f64 {
        let radians = |micro: i32| f64::from(micro).to_radians() / 1e6;
        let (dlat, dlon) = (radians(b.latitude - a.latitude), radians(b.longitude) - radians(a.longitude));
        let h = (dlat / 2.0).sin().powi(2)
            + radians(a.latitude).cos() * radians(b.latitude).cos() * (dlon / 2.0).sin().powi(2);
        2.0 * 6_371_008.8 * h.min(1.0).sqrt().asin()
    }

    #[rstest]
    // Charing Cross to Notre-Dame; Sydney to Auckland; across the date line; pole to pole; one metre north.
    #[case((51_507_222, -127_500), (48_853_000, 2_349_800), 343_800)]
    #[case((-33_868_800, 151_209_300), (-36_850_900, 174_764_500), 2_155_800)]
    #[case((0, 179_999_000), (0, -179_999_000), 222)]
    #[case((90_000_000, 0), (-90_000_000, 17), 20_015_114)]
    #[case((52_000_000, 13_000_000), (52_000_009, 13_000_000), 1)]
    #[case((0, 0), (0, 0), 0)]
    fn known_distances(#[case] a: (i32, i32), #[case] b: (i32, i32), #[case] metres: u32) {
        let found = point(a.0, a.1).distance_m(&point(b.0, b.1));
        assert!(found.abs_diff(metres) <= 1 + metres / 500, "{found} for {metres}");
    }

    #[rstest]
    #[case(90_000_001, 0, CoordinatesError::Latitude)]
    #[case(i32::MIN, 0, CoordinatesError::Latitude)]
    #[case(0, -180_000_001, CoordinatesError::Longitude)]
    fn points_off_the_globe_are_refused(
        #[case] latitude: i32,
        #[case] longitude: i32,
        #[case] error: CoordinatesError,
    ) {
        assert_eq!(Coordinates::try_new(latitude, longitude), Err(error));
    }

    #[rstest]
    #[case(" gb ", Ok("GB"))]
    #[case("", Err(TextError::Empty))]
    #[case("GBR", Err(TextError::NotCountry))]
    #[case("G1", Err(TextError::NotCountry))]
    fn countries_are_two_letters(#[case] text: &str, #[case] expected: Result<&str, TextError>) {
        assert_eq!(text.parse::<CountryCode>().as_ref().map(CountryCode::as_str), expected.as_ref().copied());
    }

    fn anywhere() -> impl Strategy<Value = Coordinates> {
        (-90_000_000..=90_000_000, -180_000_000..=180_000_000).prop_map(|(lat, lon)| point(lat, lon))
    }

    proptest! {
        #[test]
        fn the_distance_is_the_haversine_to_a_metre(a in anywhere(), b in anywhere()) {
            let found = f64::from(a.distance_m(&b));
            // At the antipode the textbook formula itself loses its digits.
            let slack = if haversine(a, b) > 20_000_000.0 { 10.0 } else { 1.0 };
            prop_assert!((found - haversine(a, b)).abs() <= slack, "{found} for {}", haversine(a, b));
            prop_assert_eq!(a.distance_m(&b), b.distance_m(&a));
        }

        #[test]
        fn neighbours_are_told_apart(a in anywhere(), north in 0i32..2_000, east in 0i32..2_000) {
            let b = point((a.latitude + north).min(90_000_000), (a.longitude + east).min(180_000_000));
            prop_assert!((f64::from(a.distance_m(&b)) - haversine(a, b)).abs() <= 1.0);
        }

        #[test]
        fn whatever_is_near_lies_between_the_latitudes(a in anywhere(), b in anywhere()) {
            let (south, north) = a.latitudes_within(a.distance_m(&b));
            prop_assert!((south..=north).contains(&b.latitude));
        }
    }
}
