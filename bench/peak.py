"""What the machine can do at most: products of matrices in numpy, for `Drawer`. Run as `python -m bench.peak`."""

from typing import Any

from bench.subjects import serve_lines

# A side of the matrices: large enough that their products are arithmetic and little else.
SIDE = 2048
# Billions of multiplications and additions in one product.
GFLOP = 2 * SIDE**3 / 1e9


def main() -> None:
    import numpy as np

    rng = np.random.default_rng(0)
    one, other = (rng.standard_normal((SIDE, SIDE), np.float32) for _ in range(2))

    def product(_wish: dict[str, Any]) -> bytes:
        return np.matmul(one, other)[:1].tobytes()

    serve_lines({}, product)


if __name__ == "__main__":
    main()
