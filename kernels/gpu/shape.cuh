// The shape of a row: D parameters, the entries of an action, and the options of each choice (multicategorical alone).
struct Shape {
    int width, acts;
    const i64 *sizes;  // (acts,)
};
