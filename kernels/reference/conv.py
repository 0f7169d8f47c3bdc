"""A convolution: a linear map of images, with the same weights for every window  (CV-1).

y[i,j,c′] = Σ_{u,v,c} x[s·i+u−top, s·j+v−left, c] w[u,v,c,c′], and x is 0 outside the image. The sum over u and v is a
loop, so each of the functions is one matrix product for every offset (u, v) in the window. The map is linear in x and
in w: J v is two convolutions, and Jᵀ g in either argument is the same sum read in the other order.

Images are rows of a batch: x (B, height·width·channels), y (B, rows·columns·filters), w (kernel, kernel, C, C′).
"""

from minipg.kernels.reference._namespace import namespace


def _padded(conv, x):
    """The images (B, H, W, C) with zeros around them, as many as the windows reach."""
    bottom = conv.stride * (conv.rows - 1) + conv.kernel - conv.top - conv.height
    right = conv.stride * (conv.columns - 1) + conv.kernel - conv.left - conv.width
    images = x.reshape(len(x), conv.height, conv.width, conv.channels)
    return namespace(x).pad(images, ((0, 0), (conv.top, max(bottom, 0)), (conv.left, max(right, 0)), (0, 0)))


def _offsets(conv):
    """For each offset (u, v) in the window: (u, v), and where all windows have it, as an index of padded images."""
    s = conv.stride
    for u in range(conv.kernel):
        for v in range(conv.kernel):
            yield (u, v), (slice(None), slice(u, u + s * conv.rows, s), slice(v, v + s * conv.columns, s))


def add_product(conv, x, w, y):
    """y += x ∗ w, the convolution  (CV-1)."""
    images, out = _padded(conv, x), y.reshape(len(y), conv.rows, conv.columns, conv.filters)
    for offset, windows in _offsets(conv):
        out += images[windows] @ w[offset]


def add_weight_gradient(conv, x, g, dw):
    """dw += the gradient in w of Σ g·(x ∗ w).   g (B, rows·columns·filters)."""
    images, g = _padded(conv, x), g.reshape(-1, conv.filters)
    for offset, windows in _offsets(conv):
        dw[offset] += images[windows].reshape(-1, conv.channels).T @ g


def add_input_gradient(conv, w, g, dx):
    """dx += the gradient in x of Σ g·(x ∗ w).   g (B, rows·columns·filters)."""
    images, g = 0 * _padded(conv, dx), g.reshape(len(g), conv.rows, conv.columns, conv.filters)
    for offset, windows in _offsets(conv):
        images[windows] += g @ w[offset].T
    inside = images[:, conv.top : conv.top + conv.height, conv.left : conv.left + conv.width]
    dx += inside.reshape(dx.shape)
