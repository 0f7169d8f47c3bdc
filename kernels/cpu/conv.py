"""Twin of `reference/conv.py`: each function is sums of products of overlapping rows (`_tile_product.py`).

One row of windows is read at a time. Where the windows reach beyond the image, fewer of their offsets count:
`_inside` says which. Offsets (v, c) of a row of a window are neighbours in memory, in x and in w.
"""

from minipg.kernels.cpu._jit import called, part
from minipg.kernels.cpu._tile_product import Strided, add_products


@part
def _inside(start, kernel, length):
    """The offsets of a window, from the first on and before the second, that are inside 0 … length−1."""
    return max(0, -start), min(kernel, length - start)


@part
def _stop(conv, j):
    """The windows j … stop−1 of a row are all inside the image, or it is window j alone."""
    start = conv.stride * j - conv.left
    if start < 0 or start + conv.kernel > conv.width:
        return j + 1
    return min(conv.columns, (conv.width - conv.kernel + conv.left) // conv.stride + 1)


@called
def add_product(conv, x, w, y):
    """y += x ∗ w, the convolution  (CV-1).   x (B·H·W·C,), w (kernel·kernel·C·C′,), y (B·rows·columns·C′,): flat."""
    k, s, f, c = conv.kernel, conv.stride, conv.filters, conv.channels
    line, lines = conv.width * c, x.shape[0] // (conv.width * c)  # numbers in a line of an image; lines of all images
    for image in range(lines // conv.height):
        for i in range(conv.rows):
            p = s * i - conv.top
            u, u_end = _inside(p, k, conv.height)
            j = 0
            while j < conv.columns:
                stop, q = _stop(conv, j), s * j - conv.left
                v, v_end = _inside(q, k, conv.width)
                y_start = ((image * conv.rows + i) * conv.columns + j) * f
                x_start = (image * conv.height + p + u) * line + (q + v) * c
                add_products(
                    Strided(y, y_start, f, 0, 0),
                    Strided(x, x_start, s * c, line, 1),
                    Strided(w, (u * k + v) * c * f, 0, k * c * f, f),
                    stop - j, f, u_end - u, (v_end - v) * c,
                )  # fmt: skip
                j = stop


@called
def add_weight_gradient(conv, x, g, dw):
    """dw += the gradient in w of Σ g·(x ∗ w).   Flat arrays, g as y of `add_product`, dw as w."""
    k, s, f, c = conv.kernel, conv.stride, conv.filters, conv.channels
    line, lines = conv.width * c, x.shape[0] // (conv.width * c)
    for image in range(lines // conv.height):
        for u in range(k):
            first = max(0, -((u - conv.top) // s))  # the rows i of windows whose line u is inside the image
            end = min(conv.rows, (conv.height - 1 - u + conv.top) // s + 1)
            j = 0
            while j < conv.columns:
                stop, q = _stop(conv, j), s * j - conv.left
                v, v_end = _inside(q, k, conv.width)
                g_start = ((image * conv.rows + first) * conv.columns + j) * f
                x_start = (image * conv.height + s * first - conv.top + u) * line + (q + v) * c
                add_products(
                    Strided(dw, (u * k + v) * c * f, f, 0, 0),
                    Strided(x, x_start, 1, s * line, s * c),
                    Strided(g, g_start, 0, conv.columns * f, f),
                    (v_end - v) * c, f, end - first, stop - j,
                )  # fmt: skip
                j = stop


@called
def add_input_gradient(conv, w, g, dx):
    """dx += the gradient in x of Σ g·(x ∗ w).   Flat arrays; w transposed, (C′·kernel·kernel·C,).

    Windows that overlap add to the same numbers, so only every `apart`-th is in one product.
    """
    k, s, f, c = conv.kernel, conv.stride, conv.filters, conv.channels
    line, lines, apart = conv.width * c, dx.shape[0] // (conv.width * c), -(-k // s)
    for image in range(lines // conv.height):
        for i in range(conv.rows):
            p = s * i - conv.top
            u, u_end = _inside(p, k, conv.height)
            j = 0
            while j < conv.columns:
                stop, q = _stop(conv, j), s * j - conv.left
                v, v_end = _inside(q, k, conv.width)
                g_start = ((image * conv.rows + i) * conv.columns + j) * f
                x_start = (image * conv.height + p) * line + (q + v) * c
                for first in range(min(apart, stop - j)):
                    for line_u in range(u, u_end):
                        add_products(
                            Strided(dx, x_start + line_u * line + first * s * c, apart * s * c, 0, 0),
                            Strided(g, g_start + first * f, apart * f, 0, 1),
                            Strided(w, (line_u * k + v) * c, 0, 0, k * k * c),
                            -(-(stop - j - first) // apart), (v_end - v) * c, 1, f,
                        )  # fmt: skip
                j = stop
