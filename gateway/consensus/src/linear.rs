//! Linear algebra for a few dozen unknowns: the Cholesky factor of a matrix, and what is solved with it.
//!
//! Kept instead of nalgebra: n is at most 64, these are 60 lines of the same O(n³) loops, and nalgebra
//! with simba would be two more crates to compile in the inner loop of the ranking.

#![expect(clippy::indexing_slicing, reason = "numeric kernel: all indices are below `n`")]

/// A square matrix, row by row.
#[derive(Clone, Debug)]
pub(crate) struct Square {
    n: usize,
    values: Vec<f64>,
}

impl Square {
    pub(crate) fn diagonal(n: usize, value: f64) -> Self {
        let mut matrix = Self { n, values: vec![0.0; n * n] };
        (0..n).for_each(|i| matrix.add(i, i, value));
        matrix
    }

    pub(crate) fn add(&mut self, row: usize, column: usize, value: f64) {
        self.values[row * self.n + column] += value;
    }

    pub(crate) fn get(&self, row: usize, column: usize) -> f64 {
        self.values[row * self.n + column]
    }

    /// Multiplies everything but the diagonal.
    pub(crate) fn scale_off_diagonal(&mut self, factor: f64) {
        for row in 0..self.n {
            for column in (0..self.n).filter(|column| *column != row) {
                self.values[row * self.n + column] *= factor;
            }
        }
    }
}

/// The lower triangle L with L Lᵀ = A, for a positive definite A.
#[derive(Clone, Debug)]
pub(crate) struct Cholesky {
    lower: Square,
    is_definite: bool,
}

impl Cholesky {
    /// The factor of a matrix with no eigenvalue below `least`. Its pivots are no smaller either, so a smaller
    /// one comes from rounding and is raised to `least`.
    pub(crate) fn new(matrix: &Square, least: f64) -> Self {
        let n = matrix.n;
        let mut lower = Square::diagonal(n, 0.0);
        let mut is_definite = true;
        for column in 0..n {
            for row in column..n {
                let dot: f64 = (0..column).map(|k| lower.get(row, k) * lower.get(column, k)).sum();
                let rest = matrix.get(row, column) - dot;
                if row == column {
                    is_definite &= rest > 0.0 && rest.is_finite();
                    lower.add(row, column, rest.max(least).max(f64::MIN_POSITIVE).sqrt());
                } else {
                    lower.add(row, column, rest / lower.get(column, column));
                }
            }
        }
        Self { lower, is_definite }
    }

    /// Whether the matrix was positive definite.
    pub(crate) fn is_definite(&self) -> bool {
        self.is_definite
    }

    /// The sum of the eigenvalues of A, and so a bound of each.
    pub(crate) fn trace(&self) -> f64 {
        self.lower.values.iter().map(|value| value * value).sum()
    }

    /// x with A x = b.
    pub(crate) fn solve(&self, b: &[f64]) -> Vec<f64> {
        let lower = &self.lower;
        let mut x = b.to_vec();
        for row in 0..lower.n {
            let dot: f64 = (0..row).map(|k| lower.get(row, k) * x[k]).sum();
            x[row] = (x[row] - dot) / lower.get(row, row);
        }
        for row in (0..lower.n).rev() {
            let dot: f64 = (row + 1..lower.n).map(|k| lower.get(k, row) * x[k]).sum();
            x[row] = (x[row] - dot) / lower.get(row, row);
        }
        x
    }

    /// A⁻¹.
    pub(crate) fn inverse(&self) -> Square {
        let n = self.lower.n;
        let mut inverse = Square::diagonal(n, 0.0);
        for column in 0..n {
            let mut unit = vec![0.0; n];
            unit[column] = 1.0;
            self.solve(&unit)
                .into_iter()
                .enumerate()
                .for_each(|(row, x)| inverse.add(row, column, x));
        }
        inverse
    }

    /// Σ_k L(row, k) x_k over the columns left of the diagonal.
    pub(crate) fn row_product(&self, row: usize, x: &[f64]) -> f64 {
        (0..row).map(|k| self.lower.get(row, k) * x[k]).sum()
    }

    /// L(row, row) > 0.
    pub(crate) fn pivot(&self, row: usize) -> f64 {
        self.lower.get(row, row)
    }
}
