//! Just enough linear algebra for a few dozen unknowns: a Cholesky factor and its two solves.
//!
//! Kept instead of nalgebra: n is at most 64, these are 60 lines of the same O(n³) loops, and nalgebra
//! with simba would be two more crates to compile in the inner loop of the ranking.

#![expect(clippy::indexing_slicing, reason = "numeric kernel: all indices are below `n`")]

/// A square matrix, row by row.
#[derive(Clone, Debug)]
pub(super) struct Square {
    n: usize,
    values: Vec<f64>,
}

impl Square {
    pub(super) fn diagonal(n: usize, value: f64) -> Self {
        let mut matrix = Self { n, values: vec![0.0; n * n] };
        (0..n).for_each(|i| matrix.add(i, i, value));
        matrix
    }

    pub(super) fn add(&mut self, row: usize, column: usize, value: f64) {
        self.values[row * self.n + column] += value;
    }

    pub(super) fn get(&self, row: usize, column: usize) -> f64 {
        self.values[row * self.n + column]
    }
}

/// The lower triangle L with L Lᵀ = A.
#[derive(Clone, Debug)]
pub(super) struct Cholesky(Square);

impl Cholesky {
    /// None when the matrix is not positive definite (or not finite).
    pub(super) fn new(matrix: &Square) -> Option<Self> {
        let n = matrix.n;
        let mut lower = Square::diagonal(n, 0.0);
        for column in 0..n {
            for row in column..n {
                let dot: f64 = (0..column).map(|k| lower.get(row, k) * lower.get(column, k)).sum();
                let rest = matrix.get(row, column) - dot;
                if row == column {
                    if rest.is_nan() || rest <= 0.0 || rest.is_infinite() {
                        return None;
                    }
                    lower.add(row, column, rest.sqrt());
                } else {
                    lower.add(row, column, rest / lower.get(column, column));
                }
            }
        }
        Some(Self(lower))
    }

    /// x with A x = b.
    pub(super) fn solve(&self, b: &[f64]) -> Vec<f64> {
        let lower = &self.0;
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
    pub(super) fn inverse(&self) -> Square {
        let n = self.0.n;
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
    pub(super) fn row_product(&self, row: usize, x: &[f64]) -> f64 {
        (0..row).map(|k| self.0.get(row, k) * x[k]).sum()
    }

    /// L(row, row) > 0.
    pub(super) fn pivot(&self, row: usize) -> f64 {
        self.0.get(row, row)
    }
}
