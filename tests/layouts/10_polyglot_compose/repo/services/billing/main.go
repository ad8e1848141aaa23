package main

import "github.com/gin-gonic/gin"

func main() {
	r := gin.Default()
	v1 := r.Group("/v1")
	v1.POST("/bills/:id/pay", payBill)
	r.Run(":8200")
}

func payBill(c *gin.Context) {
	c.JSON(200, gin.H{"paid": c.Param("id")})
}
