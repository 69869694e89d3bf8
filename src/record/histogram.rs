//! The one histogram shape of this project, and its stored form.
//!
//! Every histogram spans 1 ns to one hour at three significant digits, so that any two merge by adding counts
//! and never by averaging percentiles. Values above the hour are recorded as the hour. The stored form is the
//! V2 format of HdrHistogram, deflated, in base64: what the Java, C and Go tools read.

use base64::Engine as _;
use base64::engine::general_purpose::STANDARD as BASE64;
use hdrhistogram::Histogram;
use hdrhistogram::serialization::{Deserializer, Serializer, V2DeflateSerializer};
use serde::{Deserialize, Serialize};

/// Largest value a histogram tells apart: one hour.
pub(crate) const HIGHEST_NS: u64 = 3_600_000_000_000;
/// Significant decimal digits.
pub(crate) const SIGNIFICANT_DIGITS: u8 = 3;

/// Why a stored histogram did not open.
#[derive(Debug, thiserror::Error)]
pub enum HistogramError {
    /// Not base64.
    #[error("histogram text is not base64")]
    Base64,
    /// Not a V2 histogram.
    #[error("histogram bytes are not the HdrHistogram V2 form: {0}")]
    Format(String),
    /// Another shape than ours.
    #[error(
        "histogram has another shape than 1 ns to 1 h at 3 digits, so it cannot be merged exactly"
    )]
    Shape,
    /// It could not be written.
    #[error("histogram could not be serialised: {0}")]
    Encode(String),
}

/// An empty histogram of the project's one shape. 270 KiB of address space, touched only where values fall.
///
/// # Panics
/// Never: the bounds are constants the library accepts, and a test says so.
#[must_use]
pub fn new_histogram() -> Histogram<u64> {
    Histogram::new_with_bounds(1, HIGHEST_NS, SIGNIFICANT_DIGITS)
        .expect("constant bounds are valid")
}

/// The stored form of `histogram`.
///
/// # Errors
/// [`HistogramError::Encode`] when the library refuses, which no histogram of ours makes it do.
pub fn encode(histogram: &Histogram<u64>) -> Result<String, HistogramError> {
    let mut bytes = Vec::new();
    V2DeflateSerializer::new()
        .serialize(histogram, &mut bytes)
        .map_err(|error| HistogramError::Encode(error.to_string()))?;
    Ok(BASE64.encode(&bytes))
}

/// Opens the stored form.
///
/// # Errors
/// [`HistogramError`] for anything that is not a histogram of this project's shape.
pub fn decode(text: &str) -> Result<Histogram<u64>, HistogramError> {
    let bytes = BASE64.decode(text).map_err(|_| HistogramError::Base64)?;
    let read: Histogram<u64> = Deserializer::new()
        .deserialize(&mut bytes.as_slice())
        .map_err(|error| HistogramError::Format(error.to_string()))?;
    let ours = new_histogram();
    if read.sigfig() != ours.sigfig() || read.low() != ours.low() {
        return Err(HistogramError::Shape);
    }
    let mut merged = ours;
    merged.add(&read).map_err(|_| HistogramError::Shape)?;
    Ok(merged)
}

/// The stored form of two stored histograms together: counts added, nothing averaged.
///
/// # Errors
/// As [`decode`] and [`encode`].
pub fn merge(one: &str, other: &str) -> Result<String, HistogramError> {
    let mut sum = decode(one)?;
    sum.add(decode(other)?).map_err(|_| HistogramError::Shape)?;
    encode(&sum)
}

/// One histogram in a record: the figures people quote, and the whole of it.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
#[cfg_attr(test, derive(schemars::JsonSchema))]
pub struct HistogramRecord {
    /// Always `ns`.
    pub unit: String,
    /// Values recorded.
    pub count: u64,
    /// Smallest value.
    pub min: u64,
    /// Median.
    pub p50: u64,
    /// 90th percentile.
    pub p90: u64,
    /// 99th percentile.
    pub p99: u64,
    /// 99.9th percentile.
    pub p999: u64,
    /// Largest value.
    pub max: u64,
    /// The whole histogram; see [`decode`].
    pub v2_deflate_base64: String,
}

impl HistogramRecord {
    /// Summarises `histogram` and keeps its stored form.
    ///
    /// # Errors
    /// [`HistogramError::Encode`] as [`encode`].
    pub fn of(histogram: &Histogram<u64>) -> Result<Self, HistogramError> {
        Ok(Self {
            unit: "ns".to_owned(),
            count: histogram.len(),
            min: histogram.min(),
            p50: histogram.value_at_quantile(0.5),
            p90: histogram.value_at_quantile(0.9),
            p99: histogram.value_at_quantile(0.99),
            p999: histogram.value_at_quantile(0.999),
            max: histogram.max(),
            v2_deflate_base64: encode(histogram)?,
        })
    }

    /// The whole histogram.
    ///
    /// # Errors
    /// As [`decode`].
    pub fn histogram(&self) -> Result<Histogram<u64>, HistogramError> {
        decode(&self.v2_deflate_base64)
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;

    proptest! {
        #[test]
        fn merging_stored_shards_is_the_histogram_of_the_union(
            shards in prop::collection::vec(prop::collection::vec(1_u64..HIGHEST_NS, 0..50), 1..5)
        ) {
            let mut merged = new_histogram();
            let mut union = new_histogram();
            for shard in &shards {
                let mut histogram = new_histogram();
                for value in shard {
                    histogram.saturating_record(*value);
                    union.saturating_record(*value);
                }
                merged.add(decode(&encode(&histogram).unwrap()).unwrap()).unwrap();
            }
            prop_assert_eq!(HistogramRecord::of(&merged).unwrap(), HistogramRecord::of(&union).unwrap());
        }
    }

    #[test]
    fn foreign_text_is_refused_with_a_reason() {
        assert!(matches!(decode("not base64!"), Err(HistogramError::Base64)));
        assert!(matches!(decode("AAAA"), Err(HistogramError::Format(_))));
        let coarse = Histogram::<u64>::new_with_bounds(1, HIGHEST_NS, 2).unwrap();
        assert!(matches!(
            decode(&encode(&coarse).unwrap()),
            Err(HistogramError::Shape)
        ));
    }
}
