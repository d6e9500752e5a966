// What comes back through the transforms of winograd_4_3.wgsl: the same sums the other way (transposed matrices).
//
// Winograd's F(4×4, 3×3), one dimension at a time: from what comes back to four outputs to that of six products, and from that of a
// transformed kernel of six to its three taps.
//
// Constants: TILE, outputs of a tile along one axis, is 4; TAPS, those of a kernel, is 3; EDGE, a tile's products, is 6.

alias Edge = array<vec4<f32>, EDGE>;
alias Taps = array<vec4<f32>, TAPS>;

fn back_to_products(y: array<vec4<f32>, TILE>) -> Edge {
    let even_half = y[0] + 0.25 * y[2];
    let odd_half = 0.5 * y[1] + 0.125 * y[3];
    let even_two = y[0] + 4.0 * y[2];
    let odd_two = 2.0 * y[1] + 8.0 * y[3];
    return Edge(y[0], even_half + odd_half, even_half - odd_half, even_two + odd_two, even_two - odd_two, y[3]);
}

fn back_to_kernel(m: Edge) -> Taps {
    let even_half = m[1] + m[2];
    let odd_half = m[1] - m[2];
    let even_two = m[3] + m[4];
    let odd_two = m[3] - m[4];
    return Taps(
        m[0] + ((1.0 / 30.0) * even_two - (8.0 / 15.0) * even_half),
        (1.0 / 15.0) * odd_two - (4.0 / 15.0) * odd_half,
        m[5] + (2.0 / 15.0) * (even_two - even_half),
    );
}
