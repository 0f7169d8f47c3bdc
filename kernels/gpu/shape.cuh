// What the functions of every family know of a row: D parameters, the numbers of an action, and how they are parted.
struct Shape {
    int width, acts;
    const i64 *sizes;  // (acts,) the options of each choice; of multicategorical ones alone
};
