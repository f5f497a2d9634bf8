//! A node from outside: the program, its page, and its life on a real link.

mod endpoint;
mod live;
mod page;
mod program;
