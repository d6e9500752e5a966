// One of two ways to move what an invocation of move_axes.wgsl is given; moved_block.wgsl is the other.
//
// One vector.

fn move_between(read: u32, write: u32) {
    output[write] = input[read];
}
