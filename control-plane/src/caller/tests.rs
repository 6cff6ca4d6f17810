//! Who a caller says to be is believed only where somebody whom we know vouches for it.

mod fuzz;
