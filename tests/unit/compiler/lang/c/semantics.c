/* Functions of C, one rule of the language each, which our compiler and the system's must understand alike.
 *
 * A case begins with a line of three slashes and its name, and ends with `u64 f(u64 a, u64 b)`.  All are in one file for the
 * system's compiler, so names in declarations are unique in the whole file.  No case has undefined behaviour.
 */

/// small types are promoted to int
u64 f(u64 a, u64 b)
{
    u8 x = a; s8 y = b; return (x + 255) * 3 + (y << 3) + ~x + -y;
}

/// unsigned wins where ranks are equal
u64 f(u64 a, u64 b)
{
    s32 x = -1; u32 y = 1; return (x < y) + 2 * (x > y) + 4 * (x == ~0u);
}

/// a wider signed type keeps its sign
u64 f(u64 a, u64 b)
{
    s64 x = -1; u32 y = a; return (x < y) + 2 * (x + y > 0) + 4 * (y - x > 0);
}

/// an unsigned long against a negative int
u64 f(u64 a, u64 b)
{
    return (a > -1) + 2 * (a < -1) + 4 * (b - 1 > 0);
}

/// an unsigned short becomes a signed int
u64 f(u64 a, u64 b)
{
    u16 x = 65535; return (x < -1) + 2 * (x * x < 0) + (x << 16 < 0) * 4;
}

/// shifts have the type of their left side
u64 f(u64 a, u64 b)
{
    u8 x = a; s32 y = a; return (x << 24 >> 24) + (1u << 31 >> 3) + (y >> 5) + ((s64)a >> 7);
}

/// a shift by a variable of another width
u64 f(u64 a, u64 b)
{
    u8 n = b & 31; s64 m = b & 63; u32 x = a; return (x << n) + (a >> m) + ((s32)a >> n);
}

/// division rounds to zero
u64 f(u64 a, u64 b)
{
    s32 x = a, y = (b & 7) + 1; return x / y * 1000 + x % y + (s64)a / -3 + (s64)a % -7 + -7 / 2 + -7 % 2;
}

/// unsigned division of what was signed
u64 f(u64 a, u64 b)
{
    s32 x = -8; return x / 2u + x % 3u + (u64)x / 3 + (s8)a / (u8)((b & 7) + 1);
}

/// a char is signed
u64 f(u64 a, u64 b)
{
    char c = a; unsigned char d = a; return (c < 0) + (d < 0) * 2 + c + d + '\xff' + '\377';
}

/// conversions of assignments
u64 f(u64 a, u64 b)
{
    u8 x = a; s16 y = b; x += 300; y -= 40000; x <<= 1; y >>= 1; x |= 0x1ff; return x * 65536 + y;
}

/// compound assignments compute wide
u64 f(u64 a, u64 b)
{
    u8 x = 200; x = (x + 100) / 2; u8 y = 200; y /= 3; y *= 5; s8 z = 100; z += 100; z /= 2;
    return x + y * 7 + z * 11;
}

/// compound assignments of mixed signs
u64 f(u64 a, u64 b)
{
    s32 x = -9; x /= 2u; u32 y = 9; y /= -2; s64 z = -9; z /= (u32)2; u64 w = 9; w %= -2;
    return x + y * 3 + z * 5 + w;
}

/// an assignment has the converted value
u64 f(u64 a, u64 b)
{
    u8 x; u32 y = (x = a) + 1; s8 z; s64 w = (z = b); return y + w + (x += 255);
}

/// increments wrap in their type
u64 f(u64 a, u64 b)
{
    u8 x = 255; s8 y = 127; u16 z = 0; return x++ + ++x + y++ + y + --z + z--;
}

/// bools are 0 or 1
u64 f(u64 a, u64 b)
{
    bool x = a, y = 256, z = (u8)a; x += 5; y--; bool w = 0; w--;
    return x + y * 2 + z * 4 + w * 8 + (bool)(b & 0x100) * 16;
}

/// bools in arithmetic
u64 f(u64 a, u64 b)
{
    bool x = 1; return (x << 3) + ~x + -x + (x == 1) + (x ^ 3) + sizeof(x) + (!x | 2);
}

/// comparisons are ints
u64 f(u64 a, u64 b)
{
    return ((a < b) - 1 < 0) + sizeof(a < b) + sizeof(!a) + ((a == b) << 31);
}

/// constants have the type that holds them
u64 f(u64 a, u64 b)
{
    return (0xFFFFFFFF > -1) + 2 * (4294967295 > -1) + (0x80000000 >> 31) + (-2147483648 < 0) * 8 +
        sizeof(2147483648) + sizeof(0x80000000) + 010 + 0b101 + 1ULL;
}

/// characters
u64 f(u64 a, u64 b)
{
    return 'a' + '\n' * 2 + '\0' + '\x41' + '\101' + '\\' + '\'' + sizeof('a');
}

/// casts chain
u64 f(u64 a, u64 b)
{
    return (u64)(s8)(u16)(s32)a + (u32)(s16)b + (u64)(u8)(s64)-1 + (s64)(u32)-1 + (int)(u8)a;
}

/// unary operators promote
u64 f(u64 a, u64 b)
{
    u8 x = 5; u16 y = a; return (-x < 0) + sizeof(-x) + sizeof(+y) + sizeof(~x) + (~x < 0) * 2 + !y;
}

/// && and || stop early
u64 f(u64 a, u64 b)
{
    u32 n = 0;
    u64 r = a && n++;
    r += (a || n++) * 2;
    r += (!a && ++n && n++) * 4;
    return r * 100 + n;
}

/// the comma
u64 f(u64 a, u64 b)
{
    u32 x = 0; u64 r = (x++, x += a, x * 2); for (int i = 0, j = 9; i < j; i++, j--) r += i * j; return r;
}

/// ?: converts to the common type
u64 f(u64 a, u64 b)
{
    s32 x = -1; u32 y = 1; s8 z = -1; return (a ? x : y) + (u64)(b ? z : (u16)7) + ((s64)(a ? -1 : 0u) > 0) * 4;
}

/// ?: of pointers and null
u64 f(u64 a, u64 b)
{
    u64 x = 5, y = 6; u64 *p = a ? &x : &y; u64 *q = b ? &y : 0; return *p * 10 + (q ? *q : 1);
}

/// ?: nests to the right
u64 f(u64 a, u64 b)
{
    return a == 1 ? 10 : a == 2 ? 20 : b ? 30 : 40;
}

/// x ?: y
u64 f(u64 a, u64 b)
{
    u32 n = 0; u64 r = a ?: b; return r + (n++ ?: 7) + n;
}

/// precedence
u64 f(u64 a, u64 b)
{
    return (1 + 2 * 3 << 1 & 0xff ^ 5 | 8) + (a & 1 == 0) + (a == b & 1) + (!a + 1) + (-a >> 60 & 7) + (a ^ b == 3);
}

/// constants fold as code computes
u64 f(u64 a, u64 b)
{
    enum { K = (u8)300 + (s8)200 + -1 / 2 + (1 ? -1 : 0u) / 2 + (3 > 2u) };
    return K + (s64)(0x7fffffff + 1ll) + (2147483647 * 2u);
}

/// long expressions
u64 f(u64 a, u64 b)
{
    return ((a * 3 + b) ^ (a >> 3)) % 1000003 * (b | 1) - ((a & b) << 5) / ((b & 15) + 1) + ~(a - b);
}

/// bit fields keep their bits
struct sem_b1 { u32 x:3, y:5, z:24; };
u64 f(u64 a, u64 b)
{
    struct sem_b1 s = {}; s.x = a; s.y = b; s.z = a * 77; s.x++; s.y -= 3; s.z ^= 0xffffff;
    return s.x + s.y * 8 + s.z * 256;
}

/// signed bit fields
struct sem_b2 { s32 x:3, y:7; s64 z:40; };
u64 f(u64 a, u64 b)
{
    struct sem_b2 s = {}; s.x = a; s.y = b; s.z = (s64)a * 3;
    return s.x * 3 + s.y * 5 + s.z + (s.x < 0) + (s.z < 0) * 2;
}

/// an assignment to a bit field is worth what fits
struct sem_b3 { u32 x:4; s32 y:4; bool z:1; };
u64 f(u64 a, u64 b)
{
    struct sem_b3 s; u64 r = (s.x = a) + (s.y = b) * 16; r += (s.z = a) * 1000; r += s.x++ + ++s.x + (s.y += 5);
    return r + (s.x |= 9);
}

/// bit fields are promoted to int
struct sem_b4 { u32 x:31, :0, y:32; u8 c:2; };
u64 f(u64 a, u64 b)
{
    struct sem_b4 s = { a, b, 3 };
    return (s.x - 0x7fffffff - 1 < 0) + (s.y > -1) * 2 + (s.c - 4 < 0) * 4 + (s.c << 30 < 0) * 8;
}

/// bit fields of several units
struct sem_b5 { u8 a:5; u16 b:9; u32 c:17; u64 d:33, e:31; u8 f; };
u64 f(u64 a, u64 b)
{
    struct sem_b5 s = { 1, 2, 3, 4, 5, 6 }; s.d = a; s.e = b; s.c = a; s.b = b;
    return s.a + s.b + s.c * 3 + (u64)s.d * 5 + (u64)s.e * 7 + s.f + sizeof(s);
}

/// packed bit fields cross bytes
struct sem_b6 { u8 a:3; u32 b:26; u8 c:7; u16 d:12; } __attribute__((packed));
u64 f(u64 a, u64 b)
{
    struct sem_b6 s = {}; s.a = 5; s.b = a; s.c = b; s.d = a ^ b;
    return s.a + s.b * 8ull + s.c * 3 + s.d * 5 + sizeof(s);
}

/// bit fields in unions
union sem_b7 { struct { u32 lo:12, hi:20; }; u32 whole; };
u64 f(u64 a, u64 b)
{
    union sem_b7 u = { .whole = a }; u.hi = b; return u.lo + u.whole + ((union sem_b7){ .lo = 7 }).whole;
}

/// structs are assigned
struct sem_s1 { u8 a; u64 b; s16 c[3]; };
u64 f(u64 a, u64 b)
{
    struct sem_s1 x = { a, b, { 1, 2, 3 } }, y, z; z = y = x; y.c[1] = 9;
    return z.a + z.b + z.c[1] + y.c[1] * 10 + y.c[2];
}

/// structs are passed by value
struct sem_s2 { u32 a, b; u64 c; };
static inline u64 sem_f2(struct sem_s2 s, u32 k) { s.a += k; s.c *= 2; return s.a + s.b + s.c; }
u64 f(u64 a, u64 b)
{
    struct sem_s2 s = { 1, 2, a }; u64 r = sem_f2(s, 5);
    return r * 3 + s.a + s.c + sem_f2((struct sem_s2){ .c = b }, a);
}

/// structs are returned by value
struct sem_s3 { u8 tag; u64 v[2]; };
static inline struct sem_s3 sem_f3(u64 x) { struct sem_s3 s = { .tag = x, .v = { x, x * 2 } }; if (x & 1) s.v[1] = 0; return s; }
u64 f(u64 a, u64 b)
{
    struct sem_s3 s = sem_f3(a); s = sem_f3(s.v[1] + b);
    return s.tag + s.v[0] * 3 + s.v[1] * 5 + sem_f3(b).v[1] + sem_f3(9).tag;
}

/// arrays of structs of arrays
struct sem_s4 { u16 t[3]; struct { u8 x, y; } p[2]; };
u64 f(u64 a, u64 b)
{
    struct sem_s4 s[3] = { { { 1, 2, 3 } }, [2] = { .p[1].y = 7 } }; s[a % 3].t[b % 3] += 5;
    s[b % 3].p[a & 1].x = 9; u64 r = 0;
    for (int i = 0; i < 3; i++) for (int j = 0; j < 2; j++) r = r * 7 + s[i].t[j] + s[i].t[2] + s[i].p[j].x + s[i].p[j].y;
    return r;
}

/// arrays of arrays
u64 f(u64 a, u64 b)
{
    u32 m[3][4] = { { 1, 2 }, { [3] = 5 }, 6, 7 }; m[a % 3][b % 4] = 100; u64 r = 0;
    for (int i = 0; i < 3; i++) for (int j = 0; j < 4; j++) r = r * 3 + m[i][j];
    return r + sizeof(m) + sizeof(m[0]) + sizeof m[0][0];
}

/// an array on a row
u64 f(u64 a, u64 b)
{
    u16 m[2][3] = { 1, 2, 3, 4, 5, 6 }; u16 *row = m[1], (*p)[3] = &m[a & 1];
    return row[2] + *row + (*p)[b % 3] + p[0][1] + **m;
}

/// nested designators
struct sem_s5 { struct { u32 x; u16 y[4]; } in[2]; u64 z; };
u64 f(u64 a, u64 b)
{
    struct sem_s5 s = { .in[1].y[2] = a, .in[0] = { 3, { [3] = b } }, .z = 8, .in[1].x = 4 };
    return s.in[0].x + s.in[0].y[3] * 3 + s.in[1].x * 5 + s.in[1].y[2] * 7 + s.z + s.in[1].y[0];
}

/// later designators win
struct sem_s6 { u32 a, b, c; };
u64 f(u64 a, u64 b)
{
    struct sem_s6 s = { 1, 2, 3, .a = 9, 8 }; u8 t[6] = { [2] = 1, 2, [0] = 5, [2] = 7 };
    return s.a + s.b * 10 + s.c * 100 + t[0] + t[2] * 3 + t[3] * 5 + t[5];
}

/// designators go on from where they are
struct sem_s7 { u32 a; u8 b[2]; u32 c; u64 d; };
u64 f(u64 a, u64 b)
{
    struct sem_s7 s = { .b[1] = 4, 5, 6 }; u16 t[] = { [3] = 1, 2, [1] = 9 };
    return s.a + s.b[1] + s.c * 10 + s.d * 100 + sizeof(t) + t[4] + t[1];
}

/// values without braces fill members
struct sem_s8 { struct { u8 x, y; } p[2]; u32 z; };
u64 f(u64 a, u64 b)
{
    struct sem_s8 s = { 1, 2, 3, 4, 5 }; struct sem_s8 t = { { { 1 }, 2, 3 }, a };
    return s.p[0].x + s.p[1].y * 3 + s.z * 5 + t.p[1].x * 7 + t.p[1].y * 11 + t.z;
}

/// anonymous members
struct sem_s9 { u32 a; union { u64 b; struct { u32 lo, hi; }; }; };
u64 f(u64 a, u64 b)
{
    struct sem_s9 s = { 1, { a } }, t = { .hi = b, .a = 2 }; return s.lo + s.hi + t.b + t.a + s.a;
}

/// unions share their bytes
union sem_u1 { u64 w; u32 h[2]; u8 b[8]; struct { u16 x, y; } s; };
u64 f(u64 a, u64 b)
{
    union sem_u1 u = { a }; u.b[7] = 1; u.h[0] ^= b; u.s.y = 3; union sem_u1 v = { .b = { 1, 2, 3 } };
    v.h[1] = u.s.x; return u.w + v.w;
}

/// a union is assigned and passed
union sem_u2 { u64 w; u8 b[8]; };
static inline u32 sem_g2(union sem_u2 u, int i) { u.b[0]++; return u.b[i & 7] + u.b[0]; }
u64 f(u64 a, u64 b)
{
    union sem_u2 u = { .w = a }, v; v = u; v.b[3] = 0; return sem_g2(v, b) + sem_g2(u, 3) * 1000 + v.w;
}

/// strings fill arrays
u64 f(u64 a, u64 b)
{
    char s[] = "pro" "bee", t[10] = "ab", u[2] = "xy", v[] = { "q" };
    return s[5] + sizeof(s) + t[1] + t[2] + t[9] + u[1] + sizeof(v) + "hello"[a & 3] + sizeof("abc");
}

/// a table of strings
struct sem_n1 { char name[8]; u32 v; };
u64 f(u64 a, u64 b)
{
    struct sem_n1 t[] = { { "one", 1 }, { .v = 2, .name = "two" } };
    return t[a & 1].name[1] + t[1].v + t[0].name[7] + sizeof(t);
}

/// flexible arrays take no room
struct sem_x1 { u32 n; u16 t[]; };
struct sem_x2 { u8 n; u64 t[0]; };
u64 f(u64 a, u64 b)
{
    return sizeof(struct sem_x1) + sizeof(struct sem_x2) * 10 + __builtin_offsetof(struct sem_x1, t) * 100;
}

/// compound literals
struct sem_c1 { u32 a, b; };
static inline u32 sem_h1(struct sem_c1 *p) { return p->a * 3 + p->b; }
u64 f(u64 a, u64 b)
{
    struct sem_c1 s = (struct sem_c1){ a, 2 }; u64 *p = &(u64){ b };
    return sem_h1(&(struct sem_c1){ .b = 5 }) + s.a + *p + ((u16[]){ 1, 2, 3 })[a % 3] + (u8){ 7 };
}

/// sizes and alignment
struct sem_z1 { u8 a; u32 b; u8 c; };
struct sem_z2 { u8 a; u64 b; } __attribute__((packed));
struct sem_z3 { u8 x; u16 y; } __attribute__((aligned(8)));
u64 f(u64 a, u64 b)
{
    u8 t[5]; struct sem_z1 s, *p = &s;
    return sizeof(struct sem_z1) + sizeof(struct sem_z2) * 3 + sizeof(struct sem_z3) * 5 + sizeof(t) + sizeof(*p) +
        sizeof(p->b) + sizeof p + sizeof(int[3]) + _Alignof(struct sem_z1) + _Alignof(u64) + sizeof(s.a + 1) +
        sizeof(1 ? 1 : 2ll);
}

/// sizeof evaluates nothing
u64 f(u64 a, u64 b)
{
    u32 n = 1; u64 r = sizeof(n++) + sizeof(u64[3]) + sizeof(({ n = 9; n; })); return r * 10 + n;
}

/// offsets
struct sem_o1 { u8 a; struct { u16 x; u64 y[3]; } b; u32 c:4; };
u64 f(u64 a, u64 b)
{
    return __builtin_offsetof(struct sem_o1, b) + __builtin_offsetof(struct sem_o1, b.y[2]) * 3 + (u64)&((struct
        sem_o1 *)0)->b.x;
}

/// typeof
struct sem_t1 { s16 m; };
u64 f(u64 a, u64 b)
{
    struct sem_t1 s = { -3 }; typeof(s.m) x = s.m; __typeof__(x + 1u) y = x; typeof(&s) p = &s;
    typeof(u8[3]) z = { a }; return x + y + p->m + z[0] + sizeof(z);
}

/// container_of
struct sem_k1 { u32 a; struct { u8 x; } in; u64 z; };
#define sem_container(p, t, m) ({ const typeof(((t *)0)->m) *q = (p); (t *)((char *)q - __builtin_offsetof(t, m)); })
u64 f(u64 a, u64 b)
{
    struct sem_k1 s = { 4, { 5 }, a }; typeof(s.in) *p = &s.in;
    return sem_container(p, struct sem_k1, in)->z + sem_container(p, struct sem_k1, in)->a;
}

/// pointers move by what they point to
u64 f(u64 a, u64 b)
{
    u32 t[8] = { 1, 2, 3, 4, 5, 6, 7, 8 }; u32 *p = t + 2, *q = &t[7]; p++; p += a % 3; q -= 2; --q;
    return *p + *q * 10 + p[-1] * 100 + *(q - 1) + (a & 1)[t];
}

/// pointer differences
struct sem_p1 { u32 x[3]; };
u64 f(u64 a, u64 b)
{
    struct sem_p1 t[5]; u64 w[9];
    return (&t[4] - &t[1]) + (&w[7] - w) * 10 + ((char *)&t[2] - (char *)t) + (&w[1] - &w[3] < 0) * 1000 + (&t[a % 5] - t);
}

/// pointers compare
u64 f(u64 a, u64 b)
{
    u64 t[4], *p = t, *q = &t[a & 3];
    return (p == q) + (p != q) * 2 + (q >= p) * 4 + (p < &t[2]) * 8 + (p ? 16 : 0) + (!q) * 32;
}

/// pointers to pointers
u64 f(u64 a, u64 b)
{
    u64 x = a, y = b, *p = &x, **q = &p; **q += 1; *q = &y; **q += 2; *p += 3; return x * 3 + y;
}

/// post-increment of a pointer
u64 f(u64 a, u64 b)
{
    u8 t[6] = { 1, 2, 3, 4, 5, 6 }, *p = t; u64 r = *p++; r = r * 10 + *++p; r = r * 10 + (*p)++;
    r = r * 10 + ++*p; r = r * 10 + *p--; return r * 10 + *p;
}

/// bytes of a number
u64 f(u64 a, u64 b)
{
    u64 x = a; u8 *p = (u8 *)&x; u16 *q = (u16 *)(p + 2); p[7] = 1; *q ^= b;
    return x + *(u32 *)((char *)&x + 4) + p[b & 7];
}

/// pointers to members
struct sem_m1 { u32 a; u16 b[4]; struct { u8 c; } d; };
static inline void sem_m(u16 *p, u32 n) { p[n & 3] += n; *p = 7; }
u64 f(u64 a, u64 b)
{
    struct sem_m1 s = {}; sem_m(s.b, a); sem_m(&s.b[0], b); u8 *c = &s.d.c; *c = 9; u32 *p = &s.a; *p |= 6;
    return s.a + s.b[0] + s.b[1] * 3 + s.b[2] * 5 + s.b[3] * 7 + s.d.c;
}

/// pointers in structs
struct sem_q1 { u64 *p; struct sem_q1 *next; };
u64 f(u64 a, u64 b)
{
    u64 x = a, y = b; struct sem_q1 one = { &x }, two = { &y, &one }; *two.next->p += 5; two.p[0]++;
    return x * 3 + y + (one.next == 0);
}

/// void pointers count bytes
u64 f(u64 a, u64 b)
{
    u32 t[4] = { 1, 2, 3, 4 }; void *p = t;
    return *(u32 *)(p + 4) + *(u8 *)(p + 8) + sizeof(void) + ((char *)(p + 3) - (char *)p);
}

/// pointers as numbers
u64 f(u64 a, u64 b)
{
    u32 t[4] = { 1, 2, 3, 4 }; unsigned long p = (unsigned long)t;
    return *(u32 *)(p + 8) + ((unsigned long)&t[3] - p);
}

/// switch falls through
u64 f(u64 a, u64 b)
{
    u64 r = 0; switch (a & 7) { case 0: r += 1; case 1: r += 2; break; default: r += 4; case 5: r += 8;
    case 6: { r += 16; break; } case 7: r += 32; } return r;
}

/// a default in the middle of a switch in a loop
u64 f(u64 a, u64 b)
{
    u64 r = 0; for (u32 i = 0; i < 6; i++) { switch (i ^ (a & 3)) { case 1: continue; default: r += i;
    if (r > 9) break; r++; case 4: r *= 2; break; case 2: r += 7; } r += 100; } return r;
}

/// a loop inside a switch (Duff)
u64 f(u64 a, u64 b)
{
    u64 r = 0; u32 n = (b & 7) + 1, i = 0; switch (n & 3) { case 0: do { r += ++i; case 3: r = r * 2 + 1;
    case 2: r += 5; case 1: r ^= i; } while (i < 3); } return r;
}

/// switch on negative and wide numbers
u64 f(u64 a, u64 b)
{
    s32 x = (s32)a - 2; u64 r = 0; switch (x) { case -2: r = 1; break; case -1: r = 2; break;
    case 0x7fffffff: r = 3; break; default: r = 4; } switch (a) { case 0xffffffffffffffff: r += 10; break;
    case 1ull << 40: r += 20; } switch ((u8)a) { case 255: r += 100; } return r;
}

/// ranges of cases
u64 f(u64 a, u64 b)
{
    switch (a & 0xff) { case 0 ... 9: return 1; case 'a' ... 'z': return 2; case 128 ... 255: return 3; }
    return 4;
}

/// switches in switches
u64 f(u64 a, u64 b)
{
    u64 r = 0; switch (a & 3) { case 1: switch (b & 3) { case 2: r = 5; break; case 1: r = 6; default: r += 7; }
    r += 100; case 0: r += 1000; break; case 3: r = 3; } return r;
}

/// a declaration in a switch
u64 f(u64 a, u64 b)
{
    switch (a & 1) { u64 x; case 0: x = 5; return x + b; case 1: x = b; { u64 y = x * 2; return y; } } return 0;
}

/// nested loops with break and continue
u64 f(u64 a, u64 b)
{
    u64 r = 0; for (int i = 0; i < 5; i++) { if (i == (a & 3)) continue; for (int j = 0; ; j++) {
    if (j == i) break; if (j & 1) continue; r = r * 3 + i * j + 1; if (r > 5000) break; } } return r;
}

/// do-while with continue
u64 f(u64 a, u64 b)
{
    u64 r = 0; int i = 0; do { i++; if (i & 1) continue; r += i; if (i == 6) break; } while (i < (b & 15));
    return r * 10 + i;
}

/// while with side effects
u64 f(u64 a, u64 b)
{
    u32 n = 9; u64 r = 0; while (n-- > (a & 3)) r = r * 2 + n; while (--n & 7) r++; return r + n;
}

/// goto forward and backward
u64 f(u64 a, u64 b)
{
    u64 r = 0; u32 i = 0; again: if (i >= 4) goto out; r += i * (b & 7); i++; if (a & 1) goto again; i += 2;
    goto again; out: return r * 10 + i;
}

/// goto out of nested loops
u64 f(u64 a, u64 b)
{
    u64 r = 0; for (int i = 0; i < 4; i++) for (int j = 0; j < 4; j++) { r++; if (i * j == (a & 7)) goto done; }
    r += 100; done:; return r;
}

/// goto into a block
u64 f(u64 a, u64 b)
{
    u64 r = 1; if (a & 1) goto in; r = 2; if (b) { r += 10; in: r += 100; } return r;
}

/// shadowing
u64 f(u64 a, u64 b)
{
    u64 x = a; { u64 x = 5; x++; { u8 x = 300; b += x; } b += x; } for (u32 x = 0; x < 3; x++) b += x;
    return x + b;
}

/// statement expressions
#define sem_max(x, y) ({ typeof(x) _x = (x); typeof(y) _y = (y); _x > _y ? _x : _y; })
u64 f(u64 a, u64 b)
{
    u64 n = 0;
    u64 r = sem_max(a, b) + sem_max(n++, 0ull) + ({ u64 t = 0; for (int i = 0; i < 3; i++) t += i; t; });
    return r + n + ({ struct { u8 x; } s = { 4 }; s; }).x;
}

/// early returns of inlined functions
static inline s32 sem_r1(u64 x) { for (int i = 0; i < 4; i++) { if (x & (1 << i)) return i; } return -1; }
static inline void sem_r2(u64 *p) { if (*p > 5) return; *p += 10; }
u64 f(u64 a, u64 b)
{
    u64 x = b; sem_r2(&x); sem_r2(&x); return sem_r1(a) + sem_r1(b) * 10 + sem_r1(0) + x;
}

/// functions call functions
static inline u8 sem_i1(u32 x) { return x * 3; }
static inline u64 sem_i2(s8 x, u16 y) { return x + y + sem_i1(y); }
static __attribute__((noinline)) u64 sem_i3(u64 x) { return sem_i2(x, x) + sem_i2(x >> 8, 1); }
u64 f(u64 a, u64 b)
{
    return sem_i3(a) * 3 + sem_i3(b) + sem_i2(300, -1);
}

/// parameters are copies
static inline u32 sem_v1(u32 x, u8 *p, u32 t[2]) { x++; *p += x; t[1] = x; p++; return x; }
u64 f(u64 a, u64 b)
{
    u32 x = a; u8 c = 3; u32 t[2] = {}; u32 r = sem_v1(x, &c, t); return x + r * 3ull + c * 5 + t[1];
}

/// enums
enum sem_e1 { SEM_A, SEM_B = 5, SEM_C, SEM_D = SEM_B * 2 + 1, SEM_E = -1 };
enum sem_e2 { SEM_F = 0xffffffff };
u64 f(u64 a, u64 b)
{
    enum sem_e1 x = SEM_C; enum sem_e2 y = SEM_F; x = x + 1;
    return x + SEM_D * 10 + (SEM_E < 0) + (y > 0) * 2 + sizeof(x) + sizeof(enum sem_e2);
}

/// enums in structs and switches
enum sem_e3 { SEM_X = 1, SEM_Y, SEM_Z };
struct sem_e4 { enum sem_e3 k:3; enum sem_e3 l; };
u64 f(u64 a, u64 b)
{
    struct sem_e4 s = { a & 3, SEM_Z }; switch (s.k) { case SEM_X: return 10; case SEM_Y: return 20 + s.l;
    case SEM_Z: return 30; default: return s.k; }
}

/// typedefs of arrays and pointers
typedef u16 sem_arr[3];
typedef struct { sem_arr t; } *sem_ptr;
u64 f(u64 a, u64 b)
{
    sem_arr x = { 1, 2, 3 }; typedef u8 inner; inner y = a; typeof(*(sem_ptr)0) s = { { 4, 5 } };
    sem_ptr p = &s; return x[b % 3] + y + p->t[1] + sizeof(sem_arr);
}

/// variadic macros
#define sem_count(...) (sizeof((int[]){ __VA_ARGS__ }) / sizeof(int))
#define sem_sum(x, ...) (x + sem_count(__VA_ARGS__))
#define sem_opt(f, ...) f(0, ##__VA_ARGS__)
static inline u64 sem_o(u64 z, u64 x) { return x; }
u64 f(u64 a, u64 b)
{
    return sem_count(1, 2, 3) + sem_sum(a, 4, 5) + sem_opt(sem_o, b);
}

/// pasting and strings
#define sem_paste(x, y) x ## y
#define sem_paste2(x, y) sem_paste(x, y)
#define sem_str(x) #x
#define sem_xstr(x) sem_str(x)
#define SEM_N 7
u64 f(u64 a, u64 b)
{
    u64 sem_v7 = a, ab = b;
    return sem_paste2(sem_v, SEM_N) + sem_paste(a, b) + sizeof(sem_str(a + b)) + sem_xstr(SEM_N)[0] + sem_str(SEM_N)[0];
}

/// conditional compilation
#define SEM_ON 1
#if defined(SEM_ON) && SEM_ON > 0 && !defined SEM_OFF
#define sem_pick 3
#elif 1
#define sem_pick 4
#else
#error
#endif
u64 f(u64 a, u64 b)
{
    return sem_pick;
}

/// _Static_assert
_Static_assert(sizeof(u64) == 8, "eight");
u64 f(u64 a, u64 b)
{
    _Static_assert(1 + 1 == 2, "sum"); return 1;
}

/// _Generic
#define sem_kind(x) _Generic((x), int: 1, unsigned int: 2, unsigned long long: 3, char *: 4, default: 9)
u64 f(u64 a, u64 b)
{
    u32 y = 1;
    return sem_kind(1) + sem_kind(y) * 10 + sem_kind(a) * 100 + sem_kind("s") * 1000 + sem_kind((u8)1) * 10000;
}

/// volatile
u64 f(u64 a, u64 b)
{
    volatile u32 x = a; x += 1; volatile u64 *p = &(u64){ b }; *p ^= x; return *p + x;
}

/// const
static const u32 sem_table[4] = { 10, 20, 30, 40 };
static const struct { u8 k; u64 v; } sem_rows[] = { { 1, 100 }, { .v = 200, .k = 2 } };
static const u64 sem_one = 1;
u64 f(u64 a, u64 b)
{
    const u64 x = a;
    return sem_table[b & 3] + sem_rows[a & 1].v + sem_rows[1].k + sizeof(sem_rows) + sem_one + x;
}

/// a static constant in a function
u64 f(u64 a, u64 b)
{
    static const u8 t[] = { 3, 1, 4, 1, 5 }; u64 r = 0; for (u32 i = 0; i < sizeof(t); i++) r = r * 10 + t[i];
    return r + a;
}

/// swapped bytes
u64 f(u64 a, u64 b)
{
    return __builtin_bswap64(a) + __builtin_bswap32(b) + __builtin_bswap16(a) + __builtin_bswap32(0x12345678);
}

/// builtins
u64 f(u64 a, u64 b)
{
    u8 x[16], y[16] = { 1, 2, 3 }; __builtin_memset(x, 0xa5, sizeof(x)); __builtin_memcpy(x + 3, y, 5);
    __builtin_memmove(x, x + 1, 4);
    return x[0] + x[3] * 3 + x[4] * 5 + x[15] + (__builtin_memcmp(x, y, 3) > 0) + !!__builtin_expect(a, 1) +
        __builtin_constant_p(3);
}

/// atomics return the old value
u64 f(u64 a, u64 b)
{
    u64 x = a; u32 y = 5; u64 r = __sync_fetch_and_add(&x, 3); __sync_fetch_and_add(&y, 2);
    r = r * 3 + __sync_fetch_and_or(&x, 8) + __sync_fetch_and_xor(&y, 1); return r + x + y;
}

/// compare and swap
u64 f(u64 a, u64 b)
{
    u64 x = a; u64 r = __sync_val_compare_and_swap(&x, 1, 50);
    r = r * 3 + __sync_bool_compare_and_swap(&x, 50, b); return r + x + __sync_lock_test_and_set(&x, 9) + x;
}

/// 128 bits
u64 f(u64 a, u64 b)
{
    unsigned __int128 x = a, y = b; x <<= 30; x += y; y = (x >> 7) ^ (x & y); unsigned __int128 z = x - y;
    return (u64)z + (u64)(z >> 64) * 3 + (x == y) + (x != 0) * 2;
}

/// 128 bits as members
struct sem_w1 { unsigned __int128 v; u8 t; };
u64 f(u64 a, u64 b)
{
    struct sem_w1 s = { .v = a, .t = 3 }, t; s.v |= (unsigned __int128)b << 64; t = s; t.v++;
    return (u64)t.v + (u64)(t.v >> 64) + t.t + sizeof(s);
}

/// 128 bits compare
u64 f(u64 a, u64 b)
{
    unsigned __int128 x = a, y = b; __int128 s = (s64)a, t = (s64)b;
    return (x < y) + (x >= y) * 2 + (s < t) * 4 + (s <= t) * 8 + (x > 5) * 16 + (s < 0) * 32;
}
/// signed 128 bits
u64 f(u64 a, u64 b)
{
    __int128 x = (s64)a, y = -1, z = (s32)b;
    x >>= 3;
    y = -z + ~x;
    unsigned __int128 w = (s8)a;
    bool none = !x;
    u64 r = (u64)x + (u64)(x >> 64) * 3 + (u64)(y >> 70) * 5 + (u64)(w >> 64) + none + (y < x) * 2 + (!w) * 4;
    return r + (u64)x++ + (u64)++z;
}

/// 128 bits in functions
static inline __int128 sem_y1(__int128 x, unsigned __int128 y) { return x < 0 ? -x : x + (__int128)y; }
u64 f(u64 a, u64 b)
{
    __int128 x = sem_y1((s64)a, b), y = sem_y1(-5, 1);
    return (u64)x + (u64)(x >> 64) * 3 + (u64)y;
}

/// ?: of structs and void
struct sem_d1 { u32 a, b; };
static inline void sem_d2(u64 *p, u64 x) { *p += x; }
u64 f(u64 a, u64 b)
{
    struct sem_d1 x = { 1, 2 }, y = { 3, 4 }, z = a ? x : y;
    u64 n = 0;
    b ? sem_d2(&n, 5) : sem_d2(&n, 7);
    unsigned __int128 w = a ? (unsigned __int128)b << 64 : 5;
    u64 *p = a ? (void *)0 : &n;
    return z.a + z.b * 10 + (b ? y : x).b * 100 + n * 1000 + (u64)(w >> 64) + (u64)w + (p ? *p : 3);
}

/// what is in memory is made once
struct sem_j1 { u64 v; };
static inline unsigned __int128 sem_j2(u64 *n) { (*n)++; return 5; }
static inline struct sem_j1 sem_j3(u64 *n) { *n += 100; return (struct sem_j1){ *n }; }
u64 f(u64 a, u64 b)
{
    u64 n = 0, r;
    unsigned __int128 x = 0, t[3] = { 1, 2, 3 }, *p = t;
    struct sem_j1 s[2] = {};
    r = sem_j2(&n);
    r += sem_j2(&n) + 3;
    r += (sem_j2(&n), sem_j2(&n)) + ({ n++; sem_j2(&n); });
    r += (u64)(x = sem_j2(&n));
    r += (u64)(x += n++);
    r += (u64)*p++ + (u64)(sem_j2(&n) + n);
    if (sem_j2(&n) > 3 && sem_j2(&n))
        r += 1000;
    !sem_j2(&n);
    sem_j2(&n);
    a ? sem_j3(&n) : sem_j3(&n);
    s[n++ & 1] = sem_j3(&n);
    r += sem_j3(&n).v + (sem_j3(&n), s[1]).v + (s[0] = sem_j3(&n)).v + ({ sem_j3(&n); }).v;
    return r * 10000 + n + (p - t) + (u64)-sem_j2(&n) + (u64)(sem_j2(&n) << 3);
}

/// atomics of all kinds
u64 f(u64 a, u64 b)
{
    u64 x = a, r;
    u32 y = b;
    r = __sync_add_and_fetch(&x, 3) + __sync_sub_and_fetch(&y, 2);
    r = r * 3 + __sync_or_and_fetch(&x, 8) + __sync_and_and_fetch(&y, 0xffff) + __sync_fetch_and_sub(&x, b);
    r = r * 3 + __atomic_fetch_add(&x, 5, __ATOMIC_SEQ_CST) + __atomic_add_fetch(&y, -1, 0);
    r += __atomic_load_n(&x, 0) + __atomic_exchange_n(&y, 7, 5) + __sync_xor_and_fetch(&y, 3);
    __atomic_store_n(&y, r, 0);
    return r + x + y;
}

/// ranges of elements
u64 f(u64 a, u64 b)
{
    u8 t[6] = { [1 ... 3] = 7, 9, [0] = a }, u[] = { [0 ... 4] = 1 };
    struct { u16 x, y; } s[3] = { [0 ... 1].y = 3, { 4 } };
    return t[0] + t[1] * 3 + t[3] * 5 + t[4] * 7 + t[5] + sizeof(u) + u[4] + s[0].y + s[1].y * 3 + s[2].x + s[2].y;
}

/// counts of bits
u64 f(u64 a, u64 b)
{
    return __builtin_popcount(a) + __builtin_popcountll(a) * 3 + __builtin_ctz((u32)b | 0x80000000) * 5 +
        __builtin_ctzll(a | (1ull << 63)) * 7 + __builtin_clz((u32)b | 1) * 11 + __builtin_clzll(a | 1) * 13 +
        __builtin_strlen("abc\0d");
}

/// a value behind a jump
u64 f(u64 a, u64 b)
{
    u64 r = 1;
    if (b)
        r = ({ if (a & 1) goto out; 2; }) + ({ goto out; 1; });
    return r;
out:
    return 7;
}

/// a pointer is what was copied over it, also where nobody followed how that came there
union seen_or_number { u64 *p; u64 n; };
struct holds_one { int k; union seen_or_number u; };
u64 f(u64 a, u64 b)
{
    u64 x = a, y = b; union seen_or_number u, w; struct holds_one s = {}, t = {};
    u.p = &x; w.n = (u64)&y;
    s.u.p = &x; t.u.n = (u64)&y;
    if (a & 1)
        u = w;
    s = t;
    return *u.p * 1000 + *s.u.p;
}

/// an operand of 128 bits is evaluated once
u64 f(u64 a, u64 b)
{
    unsigned __int128 t[3] = { 1, 2, a };
    int i = 0, j = 0, k = 0, l = 2, m = 0, n = 0;
    t[i++]++;
    ++t[j++];
    unsigned __int128 r = -t[k++], s = t[l--]--, v = ~t[m++], w = (t[n++] = b), x = -(t[n--] = 7) + +t[--m];
    u64 y = (u64)--t[n++] + (u64)t[l--]++ * 3;
    u64 z = (u64)(r >> 64) + (u64)r + (u64)s * 3 + (u64)v * 5 + (u64)(w >> 64) + (u64)w * 7 + (u64)x * 9 + y * 11;
    return z * 1000 + (u64)t[0] * 100 + (u64)t[1] * 10 + (u64)t[2] + (i + j * 3 + k * 5 + l * 7 + m * 9 + n * 11) * 77;
}

/// the place of an assignment of a struct is evaluated once
struct sem_once1 { u32 x, y; };
u64 f(u64 a, u64 b)
{
    struct sem_once1 t[3] = { { 1, 2 }, { 3, 4 }, { a, b } }, r;
    int i = 0;
    u32 y = (t[i++] = t[2]).y;
    r = (t[i++] = t[0]);
    return y + t[0].x * 3 + t[1].y * 5 + r.x * 7 + i * 1000;
}

/// a designator ends what has no braces of its own
struct sem_list1 { struct { u32 a, b; } i; u32 a, c; };
struct sem_list2 { u16 x, y; };
u64 f(u64 a, u64 b)
{
    u32 z[2][3] = { 1, 2, [1] = 5, 6, 7 };
    struct sem_list1 t = { 1, .a = 2 }, u = { 1, .c = a }, v = { .i.b = 4, 5, 6 };
    struct sem_list2 w[3] = { 1, [1].x = 2, 3, 4 }, y[2] = { [0].y = 8, 9 };
    struct { u32 a; union { u32 n; u8 b[4]; } u; u32 c; } d = { .u.b[1] = 3, 4 }, e = { .u.n = 5, 6 };
    struct { struct { u32 a, b; }; union { u32 c, d; }; u32 e; } g = { .a = 1, 2, 3, 4 }, h = { .d = 7, 8, .b = 9, 10 };
    u64 r = z[0][0] + z[0][1] * 3 + z[1][0] * 5 + z[1][1] * 7 + z[1][2] * 11 + t.i.a + t.a * 13 + u.c + u.i.a * 17;
    r = r * 31 + v.i.b + v.a * 3 + v.c * 5 + w[0].x * 7 + w[0].y * 9 + w[1].x * 11 + w[1].y * 13 + w[2].x * 15;
    r = r * 31 + y[0].y + y[1].x * 3 + d.a + d.u.b[1] * 5 + d.u.b[2] * 7 + d.c * 9 + e.u.n * 11 + e.c * 13;
    return r * 31 + g.a + g.b * 3 + g.c * 5 + g.e * 7 + h.a * 9 + h.b * 11 + h.c * 13 + h.e * 15;
}

/// the value of a range of elements is evaluated once
struct sem_range1 { u16 x, y:3, z:5; };
static inline u32 sem_range2(u64 *n) { return ++*n; }
u64 f(u64 a, u64 b)
{
    int i = 0, j = 0;
    u64 n = 0, r = 0;
    u32 t[4] = { [0 ... 3] = i++ }, u[2][3] = { [0 ... 1][1 ... 2] = ++j, [0][2] = 9 }, v[3] = { [0 ... 2] = sem_range2(&n) };
    struct sem_range1 w[3] = { [0 ... 1] = 3, 4, 5, 6 }, x[3] = { { 1, 2 }, [0 ... 2].z = a + n++ };
    struct sem_range1 y[2] = { [0 ... 1] = { n++, 5 } }, z[4] = { 0, [1 ... 2] = y[1], 9 };
    char *s[2] = { [0 ... 1] = i++ ? "ab" : "cd" };
    for (int k = 0; k < 3; k++)
        r = r * 7 + t[k] + u[k & 1][k] * 3 + v[k] + w[k].x * 5 + w[k].y * 11 + w[k].z * 13 + x[k].x + x[k].y + x[k].z;
    for (int k = 0; k < 2; k++)
        r = r * 7 + y[k].x * 3 + y[k].y + z[k + 1].x + z[k + 2].y * 5 + s[k][1];
    return r * 100 + i + n * 7 + j;
}

/// arrays without a number have as many elements as their lists reach
u64 f(u64 a, u64 b)
{
    struct p { u32 x, y; };
    u32 z[][2] = { 1, 2, 3, 4 }; struct p k[] = { [0].x = 1, 2, 3 }; struct p m[] = { {1}, 2, 3, [5].y = 4 };
    return sizeof(z) + sizeof(k) * 100 + sizeof(m) * 10000 + z[1][1] + k[0].y * 3;
}
/// strings in lists
u64 f(u64 a, u64 b)
{
    char *s[2][2] = { "ab", "cd", "ef" }; char t[2][2][4] = { "ab", "cd", "ef" }; char q[][3] = { "ab", "c" };
    return s[0][1][1] + s[1][0][1] * 3 + t[0][1][0] * 5 + t[1][0][1] * 7 + sizeof(q) * 1000;
}
/// a struct in a list is a value of the member that is of its type
struct sem_list3 { u32 x; };
struct sem_list4 { struct sem_list3 i; u32 c; };
u64 f(u64 a, u64 b)
{
    struct sem_list3 v = { 5 }; struct sem_list4 t[2] = { v, 3, v, 4 };
    struct sem_list4 w = { v, a };
    return t[0].i.x + t[0].c*3+t[1].i.x*5+t[1].c*7 + w.c;
}
/// 128 bits in braces
u64 f(u64 a, u64 b)
{
    unsigned __int128 v = { 5 }; unsigned __int128 t[2] = { a, v }; struct { struct { unsigned __int128 q; } i; u32 c; } w = { v, 7 };
    return (u64)v + (u64)t[0] + (u64)t[1] + (u64)w.i.q + w.c;
}

/// ?: of 128 bits without a middle
static inline unsigned __int128 sem_elvis1(u64 *n, u64 x) { *n += 1; return (unsigned __int128)x << 64; }
u64 f(u64 a, u64 b)
{
    u64 n = 0;
    unsigned __int128 x = sem_elvis1(&n, a) ?: 5, y = (s8)a ?: (__int128)-3, z = b ?: sem_elvis1(&n, 9);
    u64 high = (u64)((sem_elvis1(&n, b) ?: (unsigned __int128)a) >> 64);
    return (u64)x + (u64)(x >> 64) * 3 + (u64)y * 5 + (u64)(y >> 64) * 7 + (u64)(z >> 64) * 9 + (u64)z * 11 + high + n * 1000;
}

/// __builtin_choose_expr is one of two
struct sem_choose1 { u32 x, y; };
u64 f(u64 a, u64 b)
{
    struct sem_choose1 s = { a, 2 }, t = __builtin_choose_expr(sizeof(s) == 8, s, 3);
    int i = 0;
    u64 r = __builtin_choose_expr(0, i++, a) + __builtin_choose_expr(1, b, i++) * 3;
    return r + i + t.x * 5 + __builtin_choose_expr(1, s, 0).y * 7 + __builtin_expect(a > b, 0) * 1000;
}

/// an enum is an unsigned int to _Generic, or an int where it has negative numbers
enum sem_enum1 { SEM_ENUM_A, SEM_ENUM_B = 7 };
enum sem_enum2 { SEM_ENUM_C = -1, SEM_ENUM_D };
enum sem_enum3 { SEM_ENUM_E = 3 };
u64 f(u64 a, u64 b)
{
    enum sem_enum1 x = a & 1; enum sem_enum2 y = SEM_ENUM_C; enum sem_enum3 z = SEM_ENUM_E;
    enum sem_enum1 *p = &x; typedef enum sem_enum2 named; named w = SEM_ENUM_D;
    u64 r = _Generic(x, int: 1, unsigned int: 2, default: 3) + _Generic(y, int: 1, unsigned int: 2, default: 3) * 10;
    r += _Generic(z, enum sem_enum1: 1, enum sem_enum3: 2, default: 3) * 100 + _Generic(p, u32 *: 1, default: 2) * 1000;
    r += _Generic(w, unsigned int: 1, int: 2) * 10000 + _Generic(SEM_ENUM_B, unsigned int: 1, int: 2) * 100000;
    r += _Generic(x, u64: 1, s64: 2, u8: 3, default: 4) * 1000000;
    return r + x + y + z;
}
/// bit fields in lists
u64 f(u64 a, u64 b)
{
    struct { u32 a:3, :5, b:8; u32 c; struct { u8 p, q; }; } w = { 1, 2, 3, 4, 5 }, x = { .b = 7, 8, 9 }, y = { .q = 3 };
    return w.a + w.b * 3 + w.c * 5 + w.p * 7 + w.q * 9 + x.b * 11 + x.c * 13 + x.p * 15 + y.q;
}

/// a label in an expression that is one of two is one label
u64 f(u64 a, u64 b)
{
    return a ? ({ u64 q = b; if (q & 1) goto odd; q++; odd: ; q + 5; }) : 1;
}

/// one of many, and one of many in there
u64 f(u64 a, u64 b)
{
    u64 k = a & 15;
    return k == 0 ? 3 : k == 1 ? b : k == 2 ? -7 : k == 3 ? 5u : k == 4 ? b + 1 : k == 5 ? 50 : k == 6 ? 8 : k == 7 ? 90 :
        k == 8 ? 11 : k == 9 ? 21 : k == 10 ? b * 2 : k == 11 ? 33 : k == 12 ? 17 : k == 13 ? b - 1 : 99;
}

/// the place behind an array has an address
u64 f(u64 a, u64 b)
{
    u8 t[8] = {1, 2, 3}, *end = &t[8]; u64 n = 0;
    for (u8 *p = t; p < end; p++)
        n = n * 3 + *p;
    return n + (end - t) * a;
}
