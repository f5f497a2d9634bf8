//! P(this one is best) when the strengths are normal with the fit's covariance.

use super::dense::Cholesky;

/// Points of the lattice: the estimate is within about .002, and 64 pools take milliseconds.
const POINTS: u32 = 4096;

/// For each i, P(θ_i >= θ_j for all j), where θ ~ N(`strengths`, (L Lᵀ)⁻¹). Exact for two; for
/// more by a fixed lattice of points, so that the same input always gives the same answer.
pub(super) fn probabilities(strengths: &[f64], curvature: &Cholesky) -> Vec<f64> {
    match strengths {
        [] => Vec::new(),
        [_] => vec![1.0],
        [first, second] => {
            let deviation = curvature.variance_of_difference(0, 1).max(f64::MIN_POSITIVE).sqrt();
            let p = cumulative((first - second) / deviation);
            vec![p, 1.0 - p]
        }
        _ => by_lattice(strengths, curvature),
    }
}

fn by_lattice(strengths: &[f64], curvature: &Cholesky) -> Vec<f64> {
    let n = strengths.len();
    // Richtmyer's lattice: steps by the square roots of primes fill the cube evenly.
    let steps: Vec<f64> = primes(n).map(|prime| f64::from(prime).sqrt().fract()).collect();
    let mut wins = vec![0.0; n];
    for point in 0..POINTS {
        let at = f64::from(point) + 0.5;
        let normals: Vec<f64> = steps
            .iter()
            .map(|step| {
                let u = (at * step).fract();
                // Baker's transform makes the lattice periodic, which squares its error.
                quantile((1.0 - (2.0 * u - 1.0).abs()).clamp(1e-12, 1.0 - 1e-12))
            })
            .collect();
        let offsets = curvature.solve_transposed(&normals);
        // Each point and its mirror image: symmetric strengths get symmetric answers.
        for sign in [1.0, -1.0] {
            let drawn = strengths.iter().zip(&offsets).map(|(mean, offset)| mean + sign * offset);
            let best = drawn.enumerate().max_by(|x, y| x.1.total_cmp(&y.1));
            if let Some(slot) = best.and_then(|(at, _)| wins.get_mut(at)) {
                *slot += 1.0;
            }
        }
    }
    let total = 2.0 * f64::from(POINTS);
    wins.into_iter().map(|won| won / total).collect()
}

fn primes(count: usize) -> impl Iterator<Item = u32> {
    let is_prime = |n: &u32| (2..*n).take_while(|d| d * d <= *n).all(|d| !n.is_multiple_of(d));
    (2u32..).filter(is_prime).take(count)
}

/// Φ: the standard normal distribution function, by the series and the continued fraction of its
/// tail; absolute error below 1e-12.
fn cumulative(x: f64) -> f64 {
    let density = (-0.5 * x * x).exp() / std::f64::consts::TAU.sqrt();
    if x.abs() < 3.0 {
        let mut term = x;
        let mut sum = x;
        for k in 1..=60 {
            term *= x * x / f64::from(2 * k + 1);
            sum += term;
        }
        return 0.5 + density * sum;
    }
    // Laplace's continued fraction for the upper tail.
    let mut tail = x.abs();
    for k in (1..=60).rev() {
        tail = x.abs() + f64::from(k) / tail;
    }
    let upper = density / tail;
    if x > 0.0 { 1.0 - upper } else { upper }
}

/// Φ⁻¹ by bisection-free refinement: Acklam-style start is not needed, Newton on Φ from the
/// logistic approximation converges in a few steps for all u used here.
fn quantile(u: f64) -> f64 {
    let mut x = (u / (1.0 - u)).ln() / 1.702;
    for _ in 0..6 {
        let density = (-0.5 * x * x).exp() / std::f64::consts::TAU.sqrt();
        if density < 1e-300 {
            break;
        }
        let error = (cumulative(x) - u) / density;
        // Halley's correction keeps the tails from overshooting.
        let step = error / (1.0 + 0.5 * x * error);
        x -= step.clamp(-1.0, 1.0);
        if step.abs() < 1e-12 {
            break;
        }
    }
    x
}

#[cfg(test)]
mod tests {
    use super::super::dense::{Cholesky, Square};
    use super::*;

    #[test]
    fn the_normal_distribution_is_the_normal_distribution() {
        // scipy.stats.norm.cdf
        for (x, expected) in [
            (0.0, 0.5),
            (1.0, 0.841_344_746_068_542_9),
            (-2.5, 0.006_209_665_325_776_132),
            (3.5, 0.999_767_370_920_964_5),
            (-5.0, 2.866_515_718_791_939e-7),
        ] {
            assert!((cumulative(x) - expected).abs() < 1e-12, "{x}: {}", cumulative(x));
        }
        for u in [1e-12, 1e-6, 0.01, 0.2, 0.5, 0.9, 0.999, 1.0 - 1e-9] {
            assert!((cumulative(quantile(u)) - u).abs() < 1e-9, "{u}: {}", quantile(u));
        }
    }

    #[test]
    fn the_lattice_agrees_with_the_exact_answer_for_two() {
        let mut matrix = Square::diagonal(2, 0.9);
        matrix.add(0, 1, -0.3);
        matrix.add(1, 0, -0.3);
        let curvature = Cholesky::of(&matrix).expect("positive definite");
        for difference in [0.0, 0.5, 1.5, 4.0] {
            let strengths = [difference, 0.0];
            let exact = probabilities(&strengths, &curvature);
            let lattice = by_lattice(&strengths, &curvature);
            assert!((exact[0] - lattice[0]).abs() < 0.003, "{difference}: {exact:?} {lattice:?}");
        }
    }

    #[test]
    fn three_equals_have_a_third_each() {
        let curvature = Cholesky::of(&Square::diagonal(3, 0.3)).expect("positive definite");
        for p in probabilities(&[1.0, 1.0, 1.0], &curvature) {
            assert!((p - 1.0 / 3.0).abs() < 0.005, "{p}");
        }
    }
}
