package tickets

import (
	"context"
	"crypto/sha256"
	"encoding/binary"
	"fmt"
	"strconv"

	"github.com/troupedev/troupe/platform/store"
)

// symbols are the letters and digits of booking codes: none that can be taken
// for another one.
const symbols = "ABCDEFGHJKLMNPQRSTUVWXYZ23456789"

// numbers derives the n-th candidates for a ticket from the id of the event that
// it is issued for: thirteen digits, and six letters and digits.
func numbers(id string, n int) (number, code string) {
	sum := sha256.Sum256([]byte(id + "/" + strconv.Itoa(n)))
	number = fmt.Sprintf("770%010d", binary.BigEndian.Uint64(sum[:])%1e10)
	letters := make([]byte, 6)
	for i := range letters {
		letters[i] = symbols[sum[8+i]%byte(len(symbols))]
	}
	return number, string(letters)
}

// free returns the first of these that no ticket has. If another transaction
// takes them at this moment, the insert fails, and the next attempt sees it.
func free(ctx context.Context, id string) (number, code string, err error) {
	for n := 0; ; n++ {
		number, code = numbers(id, n)
		var others int
		err = store.Tx(ctx).QueryRowContext(ctx,
			`select count(*) from tickets where number = $1 or booking_code = $2`, number, code).Scan(&others)
		if err != nil || others == 0 {
			return number, code, err
		}
	}
}
