//! Figures out of samples.

use std::time::Duration;

use serde::{Deserialize, Serialize};

/// What one command cost.
#[derive(Clone, Copy, Default)]
pub(crate) struct Cost {
    /// From before its start to its end.
    pub(crate) wall: Duration,
    /// The processor time of the process and of the children it waited for.
    pub(crate) cpu: Duration,
}

impl std::ops::Add for Cost {
    type Output = Self;

    fn add(self, other: Self) -> Self {
        Self { wall: self.wall + other.wall, cpu: self.cpu + other.cpu }
    }
}

/// A summary of many costs, in milliseconds.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
pub(crate) struct Times {
    pub(crate) n: usize,
    pub(crate) median: f64,
    pub(crate) min: f64,
    pub(crate) p95: f64,
    /// The median of the processor time.
    pub(crate) cpu: f64,
}

impl Times {
    /// The summary; none of no samples.
    pub(crate) fn of(costs: &[Cost]) -> Option<Self> {
        let wall = sorted(costs.iter().map(|cost| cost.wall));
        let cpu = sorted(costs.iter().map(|cost| cost.cpu));
        Some(Self {
            n: wall.len(),
            median: quantile(&wall, 0.5)?,
            min: quantile(&wall, 0.0)?,
            p95: quantile(&wall, 0.95)?,
            cpu: quantile(&cpu, 0.5)?,
        })
    }
}

fn sorted(values: impl Iterator<Item = Duration>) -> Vec<f64> {
    let mut values: Vec<f64> = values.map(|value| value.as_secs_f64() * 1e3).collect();
    values.sort_by(f64::total_cmp);
    values
}

/// The middle of some numbers.
pub(crate) fn median(mut values: Vec<f64>) -> Option<f64> {
    values.sort_by(f64::total_cmp);
    quantile(&values, 0.5)
}

/// A quantile of sorted values, between two of them by their distance.
fn quantile(values: &[f64], at: f64) -> Option<f64> {
    let place = at * values.len().saturating_sub(1) as f64;
    let (low, high) = (values.get(place.floor() as usize)?, values.get(place.ceil() as usize)?);
    Some(low + (high - low) * place.fract())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn quantiles() {
        assert_eq!(quantile(&[], 0.5), None);
        assert_eq!(quantile(&[7.0], 0.95), Some(7.0));
        assert_eq!(quantile(&[1.0, 2.0, 3.0, 4.0], 0.5), Some(2.5));
        assert_eq!(quantile(&[1.0, 2.0, 3.0, 4.0], 1.0), Some(4.0));
        assert_eq!(median(vec![9.0, 1.0, 5.0]), Some(5.0));
    }
}
