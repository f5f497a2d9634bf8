use super::{attention::*, *};
