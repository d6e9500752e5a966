// The smaller and more accurate of two tiles: 16 products in two dimensions in place of 36.
//
// Winograd's F(2×2, 3×3), one dimension at a time: two outputs of three taps by four products in place of six.
//
// Interpolation at 0, 1, −1 and infinity (Lavin and Gray 2016, arXiv:1509.09308, section 4.1). All of it is exact for
// small whole numbers.
//
// Constants: TILE, outputs of a tile along one axis, is 2; TAPS, those of a kernel, is 3; EDGE, a tile's
// inputs and its products, is 4.

alias Edge = array<vec4<f32>, EDGE>;
alias Taps = array<vec4<f32>, TAPS>;

fn of_input(x: Edge) -> Edge {
    return Edge(x[2] - x[0], x[2] + x[1], x[2] - x[1], x[3] - x[1]);
}

fn of_kernel(g: Taps) -> Edge {
    let outer = 0.5 * (g[0] + g[2]);
    let inner = 0.5 * g[1];
    return Edge(-g[0], outer + inner, outer - inner, g[2]);
}

fn of_products(m: Edge) -> array<vec4<f32>, TILE> {
    return array<vec4<f32>, TILE>(m[0] + (m[1] + m[2]), (m[1] - m[2]) + m[3]);
}
