"""exp and the normal distribution as straight-line arithmetic, so that loops over them run on whole
vectors of the processor.

The tail is Q(a) = bell(a) M(a), with Mills' ratio M(a) = P(t) / (a + 5), t = (a - 5) / (a + 5),
a >= 0, and P the Chebyshev interpolation in t of M(a) (a + 5), computed with 40 digits.
Source of the mapping: Schonfelder, Chebyshev expansions for the error and related functions (1978).
"""

import numpy as np

from domain.pricing.compiled import bits_to_float, fused_kernel, kernel

_LOG2_E = 1.4426950408889634
_LN2_HIGH, _LN2_LOW = 6.93147180369123816490e-01, 1.90821492927058770002e-10
_ROUNDER = 6755399441055744.0  # 1.5 * 2**52: adding it rounds to a whole number
_INVERSE_ROOT_TWO_PI = 0.3989422804014327


@fused_kernel  # re-ordered, the rounding to a whole power would vanish
def exp(x: float) -> float:
    """e**x within 3e-16 of itself for -700 <= x <= 700, and that of the nearer end outside."""
    x = min(max(x, -700.0), 700.0)
    whole = x * _LOG2_E + _ROUNDER
    power = whole - _ROUNDER
    r = (x - power * _LN2_HIGH) - power * _LN2_LOW
    p = 1 / 479001600.0
    p = p * r + 1 / 39916800.0
    p = p * r + 1 / 3628800.0
    p = p * r + 1 / 362880.0
    p = p * r + 1 / 40320.0
    p = p * r + 1 / 5040.0
    p = p * r + 1 / 720.0
    p = p * r + 1 / 120.0
    p = p * r + 1 / 24.0
    p = p * r + 1 / 6.0
    p = p * r + 0.5
    p = p * r + 1.0
    p = p * r + 1.0
    scale: float = bits_to_float((np.int64(power) + 1023) << 52)
    return p * scale


@kernel
def bell(x: float) -> float:
    """The standard normal density."""
    return exp(-0.5 * x * x) * _INVERSE_ROOT_TWO_PI


@kernel
def mills(a: float) -> float:
    """Q(a) / bell(a) within 3e-11 of itself, a >= 0."""
    inverse = 1 / (a + 5)
    t = (a - 5) * inverse
    p = -3.8523801629785115e-06
    p = p * t + 7.4614649811058795e-06
    p = p * t + 3.7388105618932994e-05
    p = p * t - 0.00012123511978623554
    p = p * t - 0.000145319081824969
    p = p * t + 0.0013632796980031258
    p = p * t - 0.002001547865170868
    p = p * t - 0.007502249555752273
    p = p * t + 0.05212589613326379
    p = p * t - 0.17325494811216197
    p = p * t + 0.4136446673786682
    p = p * t - 0.7859110559198329
    p = p * t + 1.2415470638464412
    p = p * t - 1.6678665957109307
    p = p * t + 1.9280810471355818
    return p * inverse


@kernel
def cdf_of(x: float, bell_x: float) -> float:
    """The standard normal distribution at x, given its density there."""
    tail = bell_x * mills(abs(x))
    return 1 - tail if x > 0 else tail


@kernel
def cdf(x: float) -> float:
    """The standard normal distribution, within 3e-11 of its nearer tail."""
    return cdf_of(x, bell(x))


@fused_kernel
def mills_exact(a: float) -> float:
    """Q(a) / bell(a) within 5e-16 of itself, a >= 0."""
    inverse = 1 / (a + 5)
    t = (a - 5) * inverse
    p = -1.968820796668673e-09
    p = p * t + 1.2681778133106914e-09
    p = p * t + 2.324918339616538e-08
    p = p * t - 1.2601401701289641e-08
    p = p * t - 1.6898908396071304e-07
    p = p * t + 8.984895390080813e-08
    p = p * t + 1.0865648093633823e-06
    p = p * t - 8.29951776733244e-07
    p = p * t - 6.9405498481783575e-06
    p = p * t + 9.971212523126543e-06
    p = p * t + 4.181269707272043e-05
    p = p * t - 0.00012473429411922815
    p = p * t - 0.00014883252854029768
    p = p * t + 0.0013658588260150296
    p = p * t - 0.0019999620670556138
    p = p * t - 0.007503282770439648
    p = p * t + 0.05212550242182693
    p = p * t - 0.17325473409133701
    p = p * t + 0.41364471573217226
    p = p * t - 0.7859110755463842
    p = p * t + 1.241547061573877
    p = p * t - 1.667866595188962
    p = p * t + 1.9280810471531575
    return p * inverse
