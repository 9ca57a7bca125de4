// A PKCS#11 module in front of another one that fails in the way that the variable FAULT of the environment says.
// MODULE, the other one, and PIN are given when it is compiled. Tests of tokens need what no software token does by
// itself: being pulled out, locked, or signing something else. Types and numbers are those of PKCS#11 2.40; only what
// is used is declared.
#include <dlfcn.h>
#include <stdlib.h>
#include <string.h>

typedef unsigned long ulong;
typedef struct { ulong type; void *value; ulong length; } attribute;
typedef struct { unsigned char names[96]; ulong flags; ulong rest[13]; } token_info;
// All function pointers of CK_FUNCTION_LIST, by their place in the standard.
typedef struct { unsigned char version[2]; void *functions[68]; } function_list;

enum { GET_TOKEN_INFO = 6, LOGIN = 18, INITIALIZE = 0, GET_ATTRIBUTE_VALUE = 24, SIGN = 43 };
enum {
  OK = 0, GENERAL_ERROR = 5, DATA_LEN_RANGE = 0x21, DEVICE_REMOVED = 0x32, PIN_INCORRECT = 0xa0, PIN_LOCKED = 0xa4,
  TOKEN_NOT_RECOGNIZED = 0xe1
};
enum { KEYPAD = 0x100, INITIALIZED = 0x400, FINAL_TRY = 0x20000, LOCKED = 0x40000 };
enum { EC_POINT = 0x181, UNAVAILABLE = -1 };

static function_list *real, ours;

static int fault(const char *name) {
  const char *wanted = getenv("FAULT");
  return wanted && !strcmp(wanted, name);
}

static ulong initialize(void *arguments) {
  if (fault("no-beginning")) return GENERAL_ERROR;
  return ((ulong(*)(void *))real->functions[INITIALIZE])(arguments);
}

static ulong get_token_info(ulong slot, token_info *info) {
  ulong code = ((ulong(*)(ulong, token_info *))real->functions[GET_TOKEN_INFO])(slot, info);
  if (code != OK) return code;
  if (fault("keypad")) info->flags |= KEYPAD;
  if (fault("last-try")) info->flags |= FINAL_TRY;
  if (fault("locked-before")) info->flags |= LOCKED;
  if (fault("broken-reader") && !(info->flags & INITIALIZED)) return TOKEN_NOT_RECOGNIZED;
  return OK;
}

static ulong login(ulong session, ulong user, unsigned char *pin, ulong length) {
  if (fault("locked")) return PIN_LOCKED;
  if (fault("keypad")) {
    // A person types it there.
    if (pin) return PIN_INCORRECT;
    pin = (unsigned char *)PIN;
    length = sizeof PIN - 1;
  }
  return ((ulong(*)(ulong, ulong, unsigned char *, ulong))real->functions[LOGIN])(session, user, pin, length);
}

// Changes the point of a public key, 04 20 and 32 bytes, to what a fault makes of it.
static ulong point(unsigned char *bytes) {
  if (fault("raw-point")) {
    memmove(bytes, bytes + 2, 32);
    return 32;
  }
  if (fault("long-point")) {
    memset(bytes, 7, 57);
    return 57;
  }
  if (fault("weak-point")) {
    memset(bytes + 2, 0, 32);
    bytes[2] = 1;
  }
  if (fault("no-point")) return UNAVAILABLE;
  return 34;
}

static ulong get_attribute_value(ulong session, ulong object, attribute *wanted, ulong count) {
  ulong (*get)(ulong, ulong, attribute *, ulong) =
    (ulong(*)(ulong, ulong, attribute *, ulong))real->functions[GET_ATTRIBUTE_VALUE];
  if (count != 1 || wanted->type != EC_POINT) return get(session, object, wanted, count);
  unsigned char bytes[64];
  attribute own = { EC_POINT, bytes, sizeof bytes };
  ulong code = get(session, object, &own, 1);
  if (code != OK || own.length != 34) return get(session, object, wanted, count);
  ulong length = point(bytes);
  if (wanted->value && length != (ulong)UNAVAILABLE) memcpy(wanted->value, bytes, length);
  wanted->length = length;
  return OK;
}

static ulong sign(ulong session, unsigned char *data, ulong length, unsigned char *signature, ulong *size) {
  ulong (*real_sign)(ulong, unsigned char *, ulong, unsigned char *, ulong *) =
    (ulong(*)(ulong, unsigned char *, ulong, unsigned char *, ulong *))real->functions[SIGN];
  if (fault("removed")) return DEVICE_REMOVED;
  if (fault("small-memory")) return DATA_LEN_RANGE;
  ulong code = real_sign(session, data, length, signature, size);
  if (code != OK || !signature) return code;
  if (fault("wrong-signature")) signature[40] ^= 1;
  if (fault("short-signature")) *size = 63;
  return OK;
}

ulong C_GetFunctionList(function_list **list) {
  if (fault("no-functions")) return GENERAL_ERROR;
  void *library = dlopen(MODULE, RTLD_NOW | RTLD_LOCAL);
  if (!library) return GENERAL_ERROR;
  ulong (*get)(function_list **) = (ulong(*)(function_list **))dlsym(library, "C_GetFunctionList");
  if (!get || get(&real) != OK) return GENERAL_ERROR;
  ours = *real;
  ours.functions[INITIALIZE] = initialize;
  ours.functions[GET_TOKEN_INFO] = get_token_info;
  ours.functions[LOGIN] = login;
  ours.functions[GET_ATTRIBUTE_VALUE] = get_attribute_value;
  ours.functions[SIGN] = sign;
  *list = &ours;
  return OK;
}
